"""Anybody verifies a certificate by its link: without a token, at a bounded rate, and out of search engines."""

import io
import json
from collections.abc import AsyncIterator
from datetime import datetime
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pypdf import PdfReader

from events import CatalogLesson, CoursePublished
from tests.callers import PUBLIC_URL, Issuer, client_of
from tests.databases import NOON, publish_version
from tests.issued import CountingRenderer, issue, new_code
from worker.certificates.reads import Certificates
from worker.learners.service import ProgressService
from worker.web.app import create_api
from worker.web.certificates import CertificateService
from worker.web.keys import PemKeys
from worker.web.readers import Readers
from worker.web.settings import ApiSettings

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*"}
JSON = {"Accept": "application/json"}


@pytest.fixture
async def visitor(app: FastAPI, shared: ApiSettings) -> AsyncIterator[httpx.AsyncClient]:
    """Visits without a token; PDFs are rendered by a stub."""
    before = app.state.readers.certificates
    async with CertificateService(shared, CountingRenderer()) as service, client_of(app) as client:
        app.state.readers.certificates = service
        yield client
    app.state.readers.certificates = before


async def test_a_valid_certificate_is_shown_and_out_of_search_engines(
    visitor: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    code = await issue(rows, uuid4())
    answer = await visitor.get(f"/verify/{code}", headers=PAGE)

    for shown in ("This certificate is valid", "Ada Lovelace", "Statistics", "23 November 2026", PUBLIC_URL):
        assert shown in answer.text
    assert "noindex" in answer.headers["X-Robots-Tag"]
    assert '<meta name="robots" content="noindex' in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "extended since" not in answer.text
    known = {**PAGE, "If-None-Match": answer.headers["ETag"]}
    assert (await visitor.get(f"/verify/{code}", headers=known)).status_code == 304
    await rows.execute("update certificate set status = 'revoked', reason = 'learner' where code = $1", code)
    assert (await visitor.get(f"/verify/{code}", headers=known)).status_code == 200


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"status": "revoked", "reason": "learner"}, "was taken back"),
        ({"status": "revoked", "reason": "issued <in> error", "revoked_by_hand": True}, "issued &lt;in&gt; error"),
        ({"status": "withdrawn", "reason": "waived"}, "the waiver was taken back"),
    ],
)
async def test_one_that_is_not_valid_says_why_and_since_when(
    visitor: httpx.AsyncClient, rows: asyncpg.Connection, changed: dict[str, object], said: str
) -> None:
    since = datetime.fromisoformat("2026-11-29T10:00:00Z")
    code = await issue(rows, uuid4(), status_at=since, **changed)
    answer = await visitor.get(f"/verify/{code}", headers=PAGE)

    assert answer.status_code == 200
    assert f"has been {changed['status']}" in answer.text
    assert said in answer.text
    assert "29 November 2026" in answer.text
    assert "certificate.pdf" not in answer.text
    assert (await visitor.get(f"/verify/{code}/certificate.pdf")).status_code == 404
    assert (await visitor.get(f"/verify/{code}/credential")).status_code == 200


@pytest.mark.parametrize("accept", [PAGE, JSON])
async def test_one_that_is_not_listed_tells_nothing_but_that_it_is_valid(
    visitor: httpx.AsyncClient, rows: asyncpg.Connection, accept: dict[str, str]
) -> None:
    code = await issue(rows, uuid4(), listed=False)
    answer = await visitor.get(f"/verify/{code}", headers=accept)

    assert answer.status_code == 200
    assert "valid" in answer.text
    assert "Ada" not in answer.text
    assert "Statistics" not in answer.text
    for file in ("certificate.pdf", "credential"):
        assert (await visitor.get(f"/verify/{code}/{file}")).status_code == 404


async def test_a_later_version_of_the_course_is_told(visitor: httpx.AsyncClient, rows: asyncpg.Connection) -> None:
    course = uuid4()
    lesson = CatalogLesson(lesson_id="a", title="A")
    await publish_version(rows, CoursePublished(course_id=course, version=1, title="S", lessons=(lesson,)))
    code = await issue(rows, uuid4(), course)
    assert "extended since" not in (await visitor.get(f"/verify/{code}", headers=PAGE)).text
    await publish_version(rows, CoursePublished(course_id=course, version=2, title="S", lessons=(lesson,)), NOON)

    assert "The course has been extended since" in (await visitor.get(f"/verify/{code}", headers=PAGE)).text
    assert (await visitor.get(f"/verify/{code}", headers=JSON)).json()["extended"] is True


async def test_an_unknown_code_is_a_page_that_helps_and_a_problem_to_programs(visitor: httpx.AsyncClient) -> None:
    page = await visitor.get(f"/verify/{new_code()}", headers=PAGE)
    problem = await visitor.get(f"/verify/{new_code()}", headers=JSON)

    assert (page.status_code, problem.status_code) == (404, 404)
    assert "There is no such certificate" in page.text
    assert "noindex" in page.headers["X-Robots-Tag"]
    assert problem.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("code", ["a", "A" * 25, "1" * 26, "a" * 27, "a%00" + "a" * 25, "%E2%98%83" * 26])
async def test_what_no_code_can_be_is_answered_without_the_database(nowhere: FastAPI, code: str) -> None:
    async with client_of(nowhere) as client:
        for path in (f"/verify/{code}", f"/verify/{code}/certificate.pdf", f"/verify/{code}/credential"):
            assert (await client.get(path, headers=PAGE)).status_code == 404, path


async def test_a_known_and_an_unknown_code_take_the_same_question(
    visitor: httpx.AsyncClient, rows: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, asked = await issue(rows, uuid4()), []
    find = Certificates.find

    async def counted(self: Certificates, code: str) -> object:
        asked.append(code)
        return await find(self, code)

    monkeypatch.setattr(Certificates, "find", counted)
    unknown = new_code()
    for tried in (code, unknown):
        await visitor.get(f"/verify/{tried}", headers=PAGE)

    assert asked == [code, unknown]


async def test_without_the_database_the_page_says_so(nowhere: FastAPI) -> None:
    async with client_of(nowhere) as client:
        answer = await client.get(f"/verify/{new_code()}", headers=PAGE)

    assert answer.status_code == 503
    assert "Back in a moment" in answer.text


async def test_an_address_that_asks_too_often_is_refused_and_others_are_not(
    shared: ApiSettings, issuer: Issuer, service: ProgressService, readers: Readers
) -> None:
    settings = shared.model_copy(update={"rate_limit_public": "3/minute"})
    app = create_api(settings, PemKeys(issuer.key_file), service, readers=readers)
    statuses = {}
    for address in ("192.0.2.1", "198.51.100.7"):
        transport = httpx.ASGITransport(app=app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            statuses[address] = [(await client.get(f"/verify/{new_code()}")).status_code for _ in range(4)]
            last = await client.get("/credentials/status/1")

    assert list(statuses.values()) == [[404, 404, 404, 429]] * 2
    assert (last.status_code, "Retry-After" in last.headers) == (429, True)


async def test_the_pdf_and_the_credential_are_there_for_everybody(
    visitor: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    code = await issue(rows, uuid4(), credential=json.dumps({"id": "urn:1"}))
    pdf = await visitor.get(f"/verify/{code}/certificate.pdf")
    credential = await visitor.get(f"/verify/{code}/credential")

    assert (pdf.status_code, pdf.headers["Content-Type"]) == (200, "application/pdf")
    assert b'{"id": "urn:1"}' in pdf.content
    assert credential.json() == {"id": "urn:1"}
    assert "json" in credential.headers["Content-Type"]
    assert credential.headers["Access-Control-Allow-Origin"] == "*"
    assert {"noindex, nofollow"} == {answer.headers["X-Robots-Tag"] for answer in (pdf, credential)}


async def test_the_pdf_is_rendered_by_the_compiler_with_the_credential_in_it(
    app: FastAPI, rows: asyncpg.Connection
) -> None:
    code = await issue(rows, uuid4(), credential=json.dumps({"id": "urn:1"}))
    async with client_of(app) as client:
        pdf = await client.get(f"/verify/{code}/certificate.pdf")
        again = await client.get(f"/verify/{code}/certificate.pdf")
    read = PdfReader(io.BytesIO(pdf.content))

    assert "Ada Lovelace" in read.pages[0].extract_text()
    assert json.loads(read.attachments["credential.json"][0]) == {"id": "urn:1"}
    assert (again.content, again.headers["ETag"]) == (pdf.content, pdf.headers["ETag"])


async def test_the_keys_of_the_issuer_are_found_by_its_name(
    visitor: httpx.AsyncClient, rows: asyncpg.Connection
) -> None:
    key_id = f"key-{uuid4().hex}"
    await rows.execute("insert into signing_key (key_id, public_key) values ($1, 'z6Mk')", key_id)
    answer = await visitor.get("/.well-known/did.json")
    document = answer.json()

    assert document["id"] == "did:web:learn.example"
    assert f"did:web:learn.example#{key_id}" in document["assertionMethod"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_status_list_is_served_as_it_was_signed(visitor: httpx.AsyncClient, rows: asyncpg.Connection) -> None:
    number = uuid4().int % 10**9
    await rows.execute("insert into status_list (list) values ($1)", number)
    assert (await visitor.get(f"/credentials/status/{number}")).status_code == 404  # not signed yet
    await rows.execute("update status_list set credential = $2 where list = $1", number, '{"id": "urn:list"}')
    answer = await visitor.get(f"/credentials/status/{number}")
    known = {"If-None-Match": answer.headers["ETag"]}

    assert answer.json() == {"id": "urn:list"}
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert (await visitor.get(f"/credentials/status/{number}", headers=known)).status_code == 304
    for wrong in ("x", "9" * 10, "9" * 11, "-1"):
        assert (await visitor.get(f"/credentials/status/{wrong}")).status_code == 404, wrong


async def test_a_public_url_with_a_path_has_its_pages_below_it(
    shared: ApiSettings,
    issuer: Issuer,
    service: ProgressService,
    readers: Readers,
    rows: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = ApiSettings(**shared.model_dump() | {"public_url": f"{PUBLIC_URL}/school"})
    code = await issue(rows, uuid4())
    async with CertificateService(settings) as certificates:
        monkeypatch.setattr(readers, "certificates", certificates)
        app = create_api(settings, PemKeys(issuer.key_file), service, readers=readers)
        async with client_of(app) as client:
            page = await client.get(f"/school/verify/{code}", headers=PAGE)
            elsewhere = await client.get(f"/verify/{code}", headers=PAGE)
            did = await client.get("/school/did.json")

    assert (page.status_code, elsewhere.status_code) == (200, 404)
    assert did.json()["id"] == "did:web:learn.example:school"
    assert f"{PUBLIC_URL}/school/verify/{code}" in page.text
    assert f'href="/school/verify/{code}/certificate.pdf"' in page.text
