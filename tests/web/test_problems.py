"""Every error has one shape, says what to do, and shows nothing of the inside."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message
from structlog.testing import capture_logs

from tests.callers import Issuer, api_settings, client_of
from worker.errors import SetupError, TookTooLong
from worker.learners.service import ProgressService
from worker.settings import Settings
from worker.web.app import create_api
from worker.web.keys import PemKeys
from worker.web.limits import RateLimits
from worker.web.readers import Readers

COURSE = "0b9f7f0e-9b1a-4a51-8f0e-3a8d5f0c2d22"
LESSON = {"courseId": COURSE, "lessonId": "a", "totalLessons": 4}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def calling(nowhere: FastAPI, issuer: Issuer, user: UUID) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(nowhere, issuer.token(user)) as client:
        yield client


def problem(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    """Returns the problem, after checking the shape that all have."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:course-progress:problem:{name}"
    assert (body["status"], body["instance"]) == (status, answer.request.url.raw_path.decode().partition("?")[0])
    assert {"title", "detail"} <= body.keys()
    return body


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/courseId"),
        (LESSON | {"courseId": "nothing"}, "/courseId"),
        (LESSON | {"lessonId": ""}, "/lessonId"),
        (LESSON | {"lessonId": "x" * 256}, "/lessonId"),
        (LESSON | {"lessonId": "a\0"}, "/lessonId"),
        (LESSON | {"lessonId": "\ud800"}, "/lessonId"),
        (LESSON | {"totalLessons": 0}, "/totalLessons"),
        (LESSON | {"totalLessons": "4"}, "/totalLessons"),
        (LESSON | {"userId": COURSE}, "/userId"),
        (LESSON | {"a/~b": 1}, "/a~1~0b"),
        (LESSON | {"\ud800": 1}, ""),
        ([LESSON], ""),
        (None, ""),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_an_invalid_body_is_pointed_at(calling: httpx.AsyncClient, method: str, body: Any, pointer: str) -> None:
    content = json.dumps(body).encode()
    answer = await calling.request(method, "/api/progress/complete", content=content, headers=JSON)

    errors = problem(answer, 400, "invalid-request")["errors"]
    assert pointer in [error["pointer"] for error in errors]


@pytest.mark.parametrize("path", ["/api/progress/access", "/api/progress/complete/batch"])
async def test_very_many_unknown_members_are_not_named_one_by_one(calling: httpx.AsyncClient, path: str) -> None:
    answer = await calling.post(path, json={f"k{number}": 1 for number in range(1000)})

    assert problem(answer, 400, "invalid-request")["errors"] == [
        {"pointer": "", "detail": "There are more than 16 members"}
    ]


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
async def test_a_body_that_does_not_say_it_is_json_is_told_so(
    calling: httpx.AsyncClient, media_type: str | None
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await calling.post("/api/progress/complete", content=b"{}", headers=headers)

    problem(answer, 400, "invalid-request")
    assert answer.json()["errors"] == [{"parameter": "Content-Type", "detail": "A body of application/json is needed"}]


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", "application/ld+json"])
async def test_a_body_that_says_it_is_json_is_read(calling: httpx.AsyncClient, media_type: str) -> None:
    answer = await calling.post("/api/progress/complete", content=b"{}", headers={"Content-Type": media_type})

    assert "/courseId" in [error.get("pointer") for error in answer.json()["errors"]]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 10_000, b"1e999999"])
async def test_a_body_that_is_not_json_is_invalid(calling: httpx.AsyncClient, content: bytes) -> None:
    answer = await calling.post("/api/progress/complete", content=content, headers=JSON)

    problem(answer, 400, "invalid-request")


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/api/progress/nothing", "courseId"),
        ("/api/progress?limit=0", "limit"),
        ("/api/progress?limit=201", "limit"),
        ("/api/progress?includeCompleted=perhaps", "includeCompleted"),
        ("/api/progress?courseIds=nothing", "courseIds"),
        ("/api/progress?courseIds=" + ",".join([COURSE] * 101), "courseIds"),
        ("/api/progress/stats?userId=me", "userId"),
    ],
)
async def test_an_invalid_parameter_is_named(calling: httpx.AsyncClient, path: str, parameter: str) -> None:
    errors = problem(await calling.get(path), 400, "invalid-request")["errors"]

    assert [error["parameter"] for error in errors] == [parameter]


def forged(time: str) -> str:
    return base64.urlsafe_b64encode(f"{time} {COURSE}".encode()).decode()


BEFORE_ALL, AFTER_ALL = forged("0001-01-01T00:00:00+23:59"), forged("9999-12-31T23:59:59-23:59")


@pytest.mark.parametrize("cursor", ["x", "", "%00", "MjAyNg==", "8J+YgA==", "é", BEFORE_ALL, AFTER_ALL])
async def test_a_forged_cursor_is_invalid(calling: httpx.AsyncClient, cursor: str) -> None:
    problem(await calling.get("/api/progress", params={"cursor": cursor}), 400, "invalid-request")


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/", "/docs", "/api/nothing", "/api/progress/", "/api/progress/a/b", "/%F0%9F%98%80"]
)
async def test_what_is_not_there_is_not_found(calling: httpx.AsyncClient, path: str) -> None:
    problem(await calling.get(path), 404, "not-found")


async def test_another_method_is_refused_with_those_that_are_allowed(calling: httpx.AsyncClient) -> None:
    answer = await calling.put("/api/progress/complete", json={})

    problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "DELETE, POST"


@pytest.mark.parametrize(("method", "path"), [("POST", "complete"), ("GET", "stream")])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_beyond_the_limit_is_too_large_with_and_without_its_length(
    calling: httpx.AsyncClient, declared: bool, method: str, path: str
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(1025):
            yield b" " * 1024

    content = b" " * (1025 * 1024) if declared else pieces()
    answer = await calling.request(method, f"/api/progress/{path}", content=content, headers=JSON)

    problem(answer, 413, "too-large")


@pytest.mark.parametrize("path", ["/api/progress/access", "/api/progress/reset", "/api/ops/deadletters/replay"])
async def test_only_a_batch_may_be_large(calling: httpx.AsyncClient, path: str) -> None:
    problem(await calling.post(path, content=b" " * 20_000, headers=JSON), 413, "too-large")
    problem(
        await calling.post("/api/progress/complete/batch", content=b" " * 20_000, headers=JSON), 400, "invalid-request"
    )


@pytest.mark.parametrize(
    "path", ["/api/progress/access", "/api/progress/complete/batch", "/api/ops/deadletters/replay"]
)
async def test_a_body_is_not_even_read_without_a_token_or_beyond_the_rate(
    issuer: Issuer, user: UUID, path: str
) -> None:
    settings = api_settings(Settings(), issuer, rate_limit_writes="1/minute", rate_limit_batches="1/minute")
    app = create_api(settings, PemKeys(issuer.key_file), ProgressService(settings), readers=Readers(settings))

    async def read() -> AsyncIterator[bytes]:
        reads.append(path)
        yield b"{"

    reads: list[str] = []
    async with client_of(app) as client:
        problem(await client.post(path, content=read(), headers=JSON), 401, "unauthenticated")
    assert reads == []
    async with client_of(app, issuer.token(user, "ops")) as client:
        problem(await client.post(path, content=read(), headers=JSON), 400, "invalid-request")
        problem(await client.post(path, content=read(), headers=JSON), 429, "too-many-requests")
    assert reads == [path]


async def test_a_course_too_large_for_its_figures_is_no_outage(
    nowhere: FastAPI, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_long(course_id: UUID) -> None:
        raise TookTooLong("statement timeout")

    monkeypatch.setattr(nowhere.state.readers.analytics, "_query_figures", too_long)
    token = issuer.token(uuid4(), "course:analytics", courses="*")
    async with client_of(nowhere, token) as client:
        answer = await client.get(f"/api/courses/{COURSE}/analytics")

    assert problem(answer, 503, "unavailable")["detail"].startswith("there is too much to count")
    assert answer.headers["Retry-After"] == "60"


async def test_an_absent_database_is_unavailable_and_its_address_is_not_told(calling: httpx.AsyncClient) -> None:
    answer = await calling.get("/api/progress")

    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "2"
    assert "127.0.0.1" not in answer.text


async def test_an_absent_kafka_is_unavailable(calling: httpx.AsyncClient) -> None:
    answer = await calling.post("/api/progress/access", json={"courseId": COURSE})

    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize("error", [RuntimeError("secret"), SetupError("secret")])
async def test_an_unforeseen_error_reveals_nothing(
    nowhere: FastAPI, calling: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(nowhere.state.service.reads, "read_stats", broken)

    with capture_logs() as logged:
        answer = await calling.get("/api/progress/stats")

    assert [entry["event"] for entry in logged] == ["a request failed"]
    problem(answer, 500, "internal")
    assert "secret" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_client_that_leaves_before_its_stream_begins_is_not_an_error(
    nowhere: FastAPI, issuer: Issuer, user: UUID
) -> None:
    async def left() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    sent: list[Message] = []
    headers = [(b"authorization", f"Bearer {issuer.token(user)}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/api/progress/stream", "query_string": b"", "headers": headers}
    with capture_logs() as logged:
        await nowhere(scope, left, send)

    assert (sent, logged) == ([], [])


@pytest.mark.parametrize(
    ("limit", "method", "path"),
    [
        ("rate_limit_reads", "GET", "/api/progress/nothing"),
        ("rate_limit_writes", "POST", "/api/progress/reset"),
        ("rate_limit_batches", "POST", "/api/progress/complete/batch"),
    ],
)
async def test_one_call_too_many_gets_a_retry_after_and_other_learners_do_not(
    issuer: Issuer, user: UUID, limit: str, method: str, path: str
) -> None:
    settings = api_settings(Settings(), issuer, **{limit: "3/hour"})
    app = create_api(settings, PemKeys(issuer.key_file), ProgressService(settings))
    async with client_of(app, issuer.token(user)) as mine, client_of(app, issuer.token(COURSE)) as other:
        answers = [await mine.request(method, path, json={}) for _ in range(4)]
        others = await other.request(method, path, json={})

    assert [answer.status_code for answer in answers] == [400, 400, 400, 429]
    problem(answers[3], 429, "too-many-requests")
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 3600
    assert others.status_code == 400


async def test_an_invalid_rate_is_refused_by_its_variable(issuer: Issuer) -> None:
    settings = api_settings(Settings(), issuer, rate_limit_reads="often")

    with pytest.raises(SetupError, match="PROGRESS_RATE_LIMIT_READS"):
        create_api(settings, PemKeys(issuer.key_file), ProgressService(settings))


@pytest.mark.parametrize("missing", ["jwt_issuer", "jwt_audience"])
async def test_without_issuer_or_audience_there_is_no_api(issuer: Issuer, missing: str) -> None:
    settings = api_settings(Settings(), issuer, **{missing: None})

    with pytest.raises(SetupError, match="PROGRESS_JWT_ISSUER and PROGRESS_JWT_AUDIENCE"):
        create_api(settings, PemKeys(issuer.key_file), ProgressService(settings))


# Headers


async def test_every_answer_tells_browsers_to_be_careful(calling: httpx.AsyncClient) -> None:
    for path in ("/live", "/api/openapi.json", "/api/progress", "/nothing"):
        headers = (await calling.get(path)).headers

        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert headers["Cache-Control"] == "no-store"


async def test_other_origins_are_allowed_only_by_the_setting(calling: httpx.AsyncClient, issuer: Issuer) -> None:
    settings = api_settings(Settings(), issuer, cors_origins="https://learn.example, https://other.example")
    app = create_api(settings, PemKeys(issuer.key_file), ProgressService(settings))
    asked = {"Origin": "https://learn.example", "Access-Control-Request-Method": "PUT"}
    async with client_of(app) as client:
        allowed = await client.options("/api/progress/complete", headers=asked)
        refused = await client.options("/api/progress/complete", headers=asked | {"Origin": "https://evil.example"})
    by_default = await calling.options("/api/progress/complete", headers=asked)

    assert allowed.headers["Access-Control-Allow-Origin"] == "https://learn.example"
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    for answer in (refused, by_default):
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_another_origin_may_read_that_something_went_wrong_too(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = api_settings(Settings(), issuer, cors_origins="https://learn.example")
    app = create_api(settings, PemKeys(issuer.key_file), ProgressService(settings))
    monkeypatch.setattr(app.state, "limits", None)  # a bug
    async with client_of(app, issuer.token(uuid4())) as client:
        answer = await client.get("/api/progress/stats", headers={"Origin": "https://learn.example"})

    assert answer.status_code == 500
    assert answer.headers["Access-Control-Allow-Origin"] == "https://learn.example"


async def test_reading_one_course_counts_as_every_read(
    nowhere: FastAPI, calling: httpx.AsyncClient, issuer: Issuer
) -> None:
    nowhere.state.limits = RateLimits(api_settings(Settings(), issuer, rate_limit_reads="1/hour"))

    answers = [await calling.get(f"/api/progress/{COURSE}") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [503, 429]
