"""Administrators list, show, revoke and reissue certificates, and see what is missing; nobody else does."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from tests.callers import Issuer, client_of
from tests.issued import issue, new_code
from worker.web.auth import Scope

HERE = "/api/ops/certificates"


@pytest.fixture
async def administrator(app: FastAPI, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, issuer.token(uuid4(), Scope.CERTIFICATES)) as client:
        yield client


async def test_certificates_are_listed_by_learner_course_and_status(
    administrator: httpx.AsyncClient, rows: asyncpg.Connection, user: UUID, course: UUID
) -> None:
    code = await issue(rows, user, course)
    revoked = await issue(rows, user, status="revoked", reason="learner")

    async def listed(query: str) -> set[str]:
        return {item["code"] for item in (await administrator.get(f"{HERE}?{query}")).json()["items"]}

    assert await listed(f"userId={user}") == {code, revoked}
    assert await listed(f"courseId={course}") == {code}
    assert await listed(f"userId={user}&status=revoked") == {revoked}
    assert len(await listed(f"userId={user}&limit=1")) == 1
    assert "Ada" not in (await administrator.get(f"{HERE}?userId={user}")).text


async def test_a_certificate_is_shown_with_the_name(
    administrator: httpx.AsyncClient, rows: asyncpg.Connection, user: UUID
) -> None:
    code = await issue(rows, user)
    shown = (await administrator.get(f"{HERE}/{code}")).json()["certificate"]

    assert (shown["name"], shown["listed"], shown["wish"], shown["waitsFor"]) == ("Ada Lovelace", True, None, None)


async def test_what_is_wished_is_answered_and_left_to_effects(
    administrator: httpx.AsyncClient, rows: asyncpg.Connection, user: UUID, course: UUID
) -> None:
    code = await issue(rows, user, course)
    answer = await administrator.post(f"{HERE}/{code}/revoke", json={"reason": "issued in error"})
    shown = answer.json()["certificate"]

    assert (answer.status_code, shown["wish"], shown["wishReason"]) == (202, "revoke", "issued in error")
    assert shown["status"] == "valid"
    assert await rows.fetchval("select count(*) from effect where key = $1", f"{user}/{course}") == 1
    answer = await administrator.post(f"{HERE}/{code}/reissue")
    assert (answer.status_code, answer.json()["certificate"]["wish"]) == (202, "reissue")


@pytest.mark.parametrize("reason", ["", "x" * 501, "a\0b", None])
async def test_a_revocation_needs_a_reason(
    administrator: httpx.AsyncClient, rows: asyncpg.Connection, user: UUID, reason: str | None
) -> None:
    code = await issue(rows, user)

    assert (await administrator.post(f"{HERE}/{code}/revoke", json={"reason": reason})).status_code == 400
    assert await rows.fetchval("select wish from certificate where code = $1", code) is None


async def test_an_unknown_code_is_a_problem(administrator: httpx.AsyncClient) -> None:
    code = new_code()
    answers = [
        await administrator.get(f"{HERE}/{code}"),
        await administrator.post(f"{HERE}/{code}/revoke", json={"reason": "r"}),
        await administrator.post(f"{HERE}/{code}/reissue"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 3


async def test_certificates_and_completions_are_compared(
    administrator: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    answer = await administrator.get(f"{HERE}/reconciliation")

    assert answer.status_code == 200
    assert answer.json().keys() == {"asOf", "missing", "unfounded"}


@pytest.mark.parametrize("scope", ["", " ".join(sorted({*Scope} - {Scope.CERTIFICATES}))])
async def test_every_call_needs_the_scope(
    app: FastAPI, issuer: Issuer, rows: asyncpg.Connection, user: UUID, scope: str
) -> None:
    code = await issue(rows, user)
    async with client_of(app, issuer.token(user, scope)) as client:
        answers = [
            *[await client.get(f"{HERE}{path}") for path in ("", f"/{code}", "/reconciliation")],
            await client.post(f"{HERE}/{code}/revoke", json={"reason": "r"}),
            await client.post(f"{HERE}/{code}/reissue"),
        ]

    assert [answer.status_code for answer in answers] == [403] * 5
    assert await rows.fetchval("select wish from certificate where code = $1", code) is None
