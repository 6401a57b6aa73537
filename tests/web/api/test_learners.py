"""Whoever knows the learners describes them over HTTP; nothing that is answered or logged repeats it."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from events.envelope import data_of, read
from events.learners import LEARNER_EVENTS, LearnerDescribed, MailConsent
from tests.callers import Issuer, client_of
from tests.topics import records_in, records_of
from worker.web.settings import ApiSettings

SECRET = "Zuleikha Quisling"
ADA = {
    "name": SECRET,
    "email": "zuleikha@mail.example",
    "locale": "pt-BR",
    "timezone": "America/Sao_Paulo",
    "mail": {"milestones": True},
}


@pytest.fixture
def path(user: UUID) -> str:
    return f"/api/learners/{user}"


@pytest.fixture
async def office(nowhere: FastAPI, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    """Calls an API without servers as somebody who may describe learners."""
    async with client_of(nowhere, issuer.token(uuid4(), "learners:write")) as client:
        yield client


async def test_a_description_is_stored_on_kafka_under_its_learner(
    app: FastAPI, shared: ApiSettings, issuer: Issuer, user: UUID, path: str
) -> None:
    async with client_of(app, issuer.token(uuid4(), "learners:write")) as client:
        answer = await client.put(path, json=ADA)
        least = await client.put(path, json={})

    assert (answer.status_code, least.status_code) == (202, 202), answer.text
    stored = await records_of(shared, shared.learners_topic, await records_in(shared, shared.learners_topic))
    records = [record for record in stored if record.key == str(user).encode()]  # other tests describe others
    assert [data_of(read(record.value, record.headers), LEARNER_EVENTS) for record in records] == [
        LearnerDescribed(user_id=user, **{**ADA, "mail": MailConsent(milestones=True)}),
        LearnerDescribed(user_id=user),
    ]
    assert read(records[0].value, records[0].headers).id == answer.json()["eventId"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": [SECRET]}, "/name"),
        ({"name": f"{SECRET}\n"}, "/name"),
        ({"name": SECRET * 20}, "/name"),
        ({"email": SECRET}, "/email"),
        ({"locale": SECRET}, "/locale"),
        ({"timezone": "Mars/Zuleikha"}, "/timezone"),
        ({"timezone": "Europe"}, "/timezone"),
        ({"timezone": SECRET}, "/timezone"),
        ({"mail": SECRET}, "/mail"),
        ({"mail": {"milestones": SECRET}}, "/mail/milestones"),
        ({"mail": {"reminders": "yes"}}, "/mail/reminders"),
        ({"mail": {"news": True}}, "/mail/news"),
        ({"nickname": SECRET}, "/nickname"),
        ({"userId": SECRET}, "/userId"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_pointed_at_and_not_repeated(
    office: httpx.AsyncClient, path: str, body: dict[str, Any], pointer: str, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await office.put(path, json=body)

    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (400, [pointer])
    assert "uleikha" not in answer.text + "".join(capfd.readouterr())


@pytest.mark.parametrize("content", [f'{{"name": "{SECRET}"', f'"{SECRET}"', f'["{SECRET}"]', f'{{"name": {SECRET}}}'])
async def test_nor_is_what_is_not_an_object(
    office: httpx.AsyncClient, path: str, content: str, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await office.put(path, content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert "uleikha" not in answer.text + "".join(capfd.readouterr())


async def test_while_kafka_is_away_the_caller_may_repeat_it(
    office: httpx.AsyncClient, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await office.put(path, json=ADA)

    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert "uleikha" not in answer.text + "".join(capfd.readouterr())


@pytest.mark.parametrize("scope", ["", "ops waivers:write catalog:write progress:read:any"])
async def test_nobody_else_describes_learners_not_even_themselves(
    nowhere: FastAPI, issuer: Issuer, user: UUID, path: str, scope: str
) -> None:
    async with client_of(nowhere, issuer.token(user, scope, courses="*")) as client:
        answers = [await client.put(path, json=ADA), await client.put(path, content=b"[")]

    assert [answer.status_code for answer in answers] == [403, 403]


async def test_an_id_is_a_uuid(office: httpx.AsyncClient) -> None:
    answer = await office.put("/api/learners/me", json=ADA)

    assert (answer.status_code, json.loads(answer.text)["errors"][0]["parameter"]) == (400, "userId")
    assert "uleikha" not in answer.text
