"""Learners list, download and unlist their own certificates, and nobody else's."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from tests.callers import PUBLIC_URL, Issuer, client_of
from tests.issued import CountingRenderer, issue, new_code
from worker.certificates import reads
from worker.learners.service import ProgressService
from worker.web.app import create_api
from worker.web.auth import Scope
from worker.web.certificates import CertificateService
from worker.web.keys import PemKeys
from worker.web.readers import Readers
from worker.web.settings import ApiSettings

HERE = "/api/certificates"


@pytest.fixture
async def renderer(app: FastAPI, shared: ApiSettings) -> AsyncIterator[CountingRenderer]:
    """Lets the app render by a stub."""
    renderer = CountingRenderer()
    before = app.state.readers.certificates
    async with CertificateService(shared, renderer) as service:
        app.state.readers.certificates = service
        yield renderer
    app.state.readers.certificates = before


async def test_a_learner_lists_their_own(client: httpx.AsyncClient, rows: asyncpg.Connection, user: UUID) -> None:
    code = await issue(rows, user)
    await issue(rows, uuid4())
    answer = await client.get(HERE)
    [item] = answer.json()["items"]

    assert (item["code"], item["link"]) == (code, f"{PUBLIC_URL}/verify/{code}")
    assert (item["name"], item["title"], item["completedOn"]) == ("Ada Lovelace", "Statistics", "2026-11-23")
    assert (item["status"], item["reason"], item["listed"], item["extended"]) == ("valid", None, True, False)
    assert (await client.get(HERE, headers={"If-None-Match": answer.headers["ETag"]})).status_code == 304


async def test_another_learners_are_read_by_whoever_has_the_scope(
    app: FastAPI, issuer: Issuer, rows: asyncpg.Connection, user: UUID
) -> None:
    code = await issue(rows, user)
    async with client_of(app, issuer.token(uuid4(), Scope.READ_ANY)) as client:
        assert [item["code"] for item in (await client.get(f"{HERE}?userId={user}")).json()["items"]] == [code]
    async with client_of(app, issuer.token(uuid4())) as client:
        assert (await client.get(f"{HERE}?userId={user}")).status_code == 403


async def test_a_pdf_that_the_client_has_is_not_rendered_again(
    client: httpx.AsyncClient, rows: asyncpg.Connection, user: UUID, renderer: CountingRenderer
) -> None:
    code = await issue(rows, user)
    path = f"{HERE}/{code}.pdf"
    first = await client.get(path)
    known = {"If-None-Match": first.headers["ETag"]}

    assert (first.headers["Content-Type"], first.content[:17]) == ("application/pdf", b"%PDF Ada Lovelace")
    assert (await client.get(path, headers=known)).status_code == 304
    assert renderer.rendered == 1
    for change in ("issue = 2", "listed = false"):
        await rows.execute(f"update certificate set {change} where code = $1", code)
        answer = await client.get(path, headers=known)
        assert answer.status_code == 200, change
        known = {"If-None-Match": answer.headers["ETag"]}
    renderer.versions = {"template": "2"}
    assert (await client.get(path, headers=known)).status_code == 200


@pytest.mark.usefixtures("renderer")
async def test_a_certificate_that_is_not_valid_has_no_pdf_but_a_credential(
    client: httpx.AsyncClient, rows: asyncpg.Connection, user: UUID
) -> None:
    code = await issue(rows, user, status="revoked", reason="learner")

    assert (await client.get(f"{HERE}/{code}.pdf")).status_code == 404
    assert (await client.get(f"{HERE}/{code}/credential")).json() == {"type": ["VerifiableCredential"]}


async def test_a_learner_unlists_and_lists_again(
    client: httpx.AsyncClient, rows: asyncpg.Connection, user: UUID
) -> None:
    code = await issue(rows, user)
    for listed in (False, True):
        answer = await client.patch(f"{HERE}/{code}", json={"listed": listed})
        assert (answer.status_code, answer.json()["listed"]) == (200, listed)
        assert await rows.fetchval("select listed from certificate where code = $1", code) is listed


@pytest.mark.usefixtures("renderer")
@pytest.mark.parametrize("path", ["{}.pdf", "{}/credential"])
async def test_anothers_certificate_is_none(client: httpx.AsyncClient, rows: asyncpg.Connection, path: str) -> None:
    """Not even with the link: that leads to the public page."""
    code = await issue(rows, uuid4())
    for tried in (code, new_code(), "no-code"):
        assert (await client.get(f"{HERE}/{path.format(tried)}")).status_code == 404
        assert (await client.patch(f"{HERE}/{tried}", json={"listed": False})).status_code == 404
    assert await rows.fetchval("select listed from certificate where code = $1", code) is True


async def test_without_a_public_url_there_are_none_and_nothing_is_opened(
    shared: ApiSettings,
    issuer: Issuer,
    service: ProgressService,
    readers: Readers,
    user: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = shared.model_copy(update={"public_url": None})
    assert Readers(settings).certificates is None
    monkeypatch.setattr(readers, "certificates", None)
    app = create_api(settings, PemKeys(issuer.key_file), service, readers=readers)
    async with client_of(app, issuer.token(user)) as client:
        for path in (HERE, f"{HERE}/{new_code()}.pdf", f"/verify/{new_code()}", "/.well-known/did.json"):
            assert (await client.get(path)).status_code == 404, path


async def test_without_the_extra_there_are_none_and_the_log_says_what_to_install(
    shared: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "EXTRA", ("typst", "no_such_package"))
    with capture_logs() as logged:
        assert Readers(shared).certificates is None

    assert "course-progress[certificates]" in logged[0]["reason"]
