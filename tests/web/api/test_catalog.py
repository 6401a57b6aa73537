"""An owner tries, publishes and deletes courses over HTTP, and nobody is singled out by a dry run."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from tests.callers import Issuer, client_of
from tests.databases import learners, report_old_worker
from worker.courses import dry_run
from worker.errors import TookTooLong
from worker.web.api.catalog import DryRuns
from worker.web.settings import ApiSettings

SCOPE = "catalog:write"
PROBLEM = "urn:course-progress:problem:"


def content(*lessons: str, **changed: Any) -> dict[str, Any]:
    return {"title": "Knots", "lessons": [{"lessonId": lesson} for lesson in lessons], **changed}


@pytest.fixture
def base(course: UUID) -> str:
    return f"/api/courses/{course}"


@pytest.fixture
async def owner(app: FastAPI, issuer: Issuer, user: UUID, course: UUID) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, issuer.token(user, SCOPE, courses=[str(course)])) as client:
        yield client


def name(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix(PROBLEM)


# Publishing


async def test_a_published_version_is_shown_and_the_same_again_has_the_same_answer(
    owner: httpx.AsyncClient, base: str, course: UUID
) -> None:
    unknown = (await owner.get(base)).json()
    body = content("a", "b", policy="reopen", rule={"atLeast": 1})
    first = await owner.put(f"{base}/versions/3", json=body)
    again = await owner.put(f"{base}/versions/3", json=body)
    shown = (await owner.get(base)).json()

    assert (unknown["version"], unknown["content"], unknown["needed"]) == (0, None, 0)
    assert (first.status_code, first.json()["courseId"]) == (200, str(course)), first.text
    assert (again.status_code, again.json()) == (200, first.json())
    assert (shown["version"], shown["needed"], shown["deletedAt"]) == (3, 1, None)
    assert (shown["content"]["policy"], shown["content"]["rule"]) == ("reopen", {"atLeast": 1})
    assert [lesson["lessonId"] for lesson in shown["content"]["lessons"]] == ["a", "b"]
    assert shown["recount"]["version"] == 3


async def test_another_content_is_a_conflict_also_in_a_dry_run(owner: httpx.AsyncClient, base: str) -> None:
    await owner.put(f"{base}/versions/1", json=content("a"))

    published = await owner.put(f"{base}/versions/1", json=content("b"))
    tried = await owner.post(f"{base}/versions/dry-run", json=content("b", version=1))

    assert name(published) == name(tried) == (409, "version-known")


async def test_a_course_is_deleted_and_stays_readable(owner: httpx.AsyncClient, base: str) -> None:
    await owner.put(f"{base}/versions/1", json=content("a"))
    deleted = await owner.delete(base)
    shown = (await owner.get(base)).json()

    assert (deleted.status_code, shown["version"]) == (200, 1)
    assert shown["deletedAt"] is not None


async def test_a_version_that_no_worker_stores_in_time_is_accepted(
    shared: ApiSettings, app: FastAPI, owner: httpx.AsyncClient, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = app.state.readers.catalog
    nobodys = catalog._settings.model_copy(update={"consumer_group": "nobody", "apply_deadline_s": 0.05})
    monkeypatch.setattr(catalog, "_settings", nobodys)

    answer = await owner.put(f"{base}/versions/1", json=content("a"))

    assert (answer.status_code, [*answer.json()]) == (202, ["courseId", "eventId"])


async def test_nothing_is_published_while_a_worker_is_too_old(
    shared: ApiSettings, owner: httpx.AsyncClient, base: str, rows: asyncpg.Connection
) -> None:
    await report_old_worker(rows, shared.consumer_group)
    try:
        answer = await owner.put(f"{base}/versions/1", json=content("a"))
    finally:
        await rows.execute("delete from worker_status where worker = 'old-1'")

    assert name(answer) == (503, "unavailable")
    assert "old-1" not in answer.text
    assert int(answer.headers["Retry-After"]) > 0


async def test_the_largest_version_is_taken_and_a_larger_body_is_not(owner: httpx.AsyncClient, base: str) -> None:
    lessons = [{"lessonId": f"{number}", "title": "t" * 300} for number in range(2000)]
    most = await owner.put(f"{base}/versions/1", json={"lessons": lessons})
    longer = [lesson | {"title": "t" * 450} for lesson in lessons]
    beyond = await owner.put(f"{base}/versions/2", json={"lessons": longer})
    too_large = await owner.put(
        f"{base}/versions/2", content=b" " * 1_100_000, headers={"Content-Type": "application/json"}
    )

    assert most.status_code == 200, most.text
    assert name(beyond) == (400, "invalid-request")
    assert name(too_large) == (413, "too-large")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/lessons"),
        (content(), "/lessons"),
        (content("a", "a"), ""),
        (content("a", rule={"atLeast": 2}), ""),
        (content("a", rule={"atLeast": 0}), "/rule"),
        (content("a", rule="most"), "/rule"),
        (content("a", policy="none"), "/policy"),
        (content("a", version=1), "/version"),
        ({"lessons": [{"lessonId": "a"}, {"lessonId": 5}]}, "/lessons/1/lessonId"),
        ({"lessons": [{"lessonId": "a", "requires": ["a"]}]}, ""),
        ({"lessons": [{"lessonId": "a", "requires": ["b"]}]}, ""),
        ({"lessons": [{"lessonId": "a", "required": False}]}, ""),
        ({"lessons": [{"lessonId": "a", "replaces": [1, 2, 3]}]}, "/lessons/0/replaces/0"),
        ({"lessons": [{"lessonId": "a", "tilte": "A"}]}, "/lessons/0/tilte"),
    ],
)
async def test_an_invalid_version_is_pointed_at(
    owner: httpx.AsyncClient, base: str, body: dict[str, Any], pointer: str
) -> None:
    answer = await owner.put(f"{base}/versions/1", json=body)

    assert name(answer) == (400, "invalid-request")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_many_faults_are_not_named_one_by_one(owner: httpx.AsyncClient, base: str) -> None:
    lesson = {"lessonId": "a", "requires": [1] * 100_000, "replaces": [{}] * 100_000}

    answer = await owner.put(f"{base}/versions/1", json={"lessons": [lesson, lesson]})

    assert answer.status_code == 400
    assert len(answer.json()["errors"]) == 2


# A dry run


async def test_a_dry_run_counts_in_fives_and_publishes_nothing(
    owner: httpx.AsyncClient, base: str, course: UUID, rows: asyncpg.Connection
) -> None:
    await owner.put(f"{base}/versions/1", json=content("a", "b"))
    await learners(rows, course, 13, ["a", "b"], total=2)
    await learners(rows, course, 4, ["a"], total=2)

    tried = content("a", "new", policy="reopen", version=2)
    answer = await owner.post(f"{base}/versions/dry-run", json=tried)

    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["version"], found["required"], found["needed"]) == (2, 2, 2)
    assert found["figures"] == {
        "learners": 15, "completed": 0, "revoked": 10, "grandfathered": 0, "raised": 0, "lowered": 10
    }  # fmt: skip
    assert found["vanished"] == [{"lessonId": "b", "title": None, "completions": 10, "renamedTo": "new"}]
    assert (await owner.get(base)).json()["version"] == 1


async def test_fewer_than_five_learners_have_no_figures(
    owner: httpx.AsyncClient, base: str, course: UUID, rows: asyncpg.Connection
) -> None:
    await learners(rows, course, 4, ["a", "b"], total=2)

    answer = await owner.post(f"{base}/versions/dry-run", json=content("a", version=1))

    assert (answer.status_code, answer.json()["figures"]) == (200, None)


async def test_a_second_dry_run_does_not_wait_for_the_first(
    app: FastAPI, owner: httpx.AsyncClient, base: str, shared: ApiSettings
) -> None:
    app.state.dry_runs = dry_runs = DryRuns(shared)
    async with dry_runs._busy:
        answer = await owner.post(f"{base}/versions/dry-run", json=content("a", version=1))

    assert name(answer) == (409, "conflict")


async def test_too_many_learners_to_compare_are_no_outage(
    owner: httpx.AsyncClient, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_long(*_: object) -> None:
        raise TookTooLong("statement timeout")

    monkeypatch.setattr(dry_run, "try_version", too_long)
    answer = await owner.post(f"{base}/versions/dry-run", json=content("a", version=1))

    assert name(answer) == (503, "too-many-learners")
    assert "catalog check" in answer.json()["detail"]


# Who may


@pytest.mark.parametrize(
    ("scope", "courses"),
    [("", "*"), ("ops course:analytics waivers:write", "*"), (SCOPE, None), (SCOPE, [str(uuid4())])],
    ids=["no scope", "other scopes", "no claim", "another course"],
)
async def test_nobody_else_publishes(
    app: FastAPI, issuer: Issuer, user: UUID, base: str, scope: str, courses: Any
) -> None:
    async with client_of(app, issuer.token(user, scope, courses=courses)) as client:
        answers = [
            await client.put(f"{base}/versions/1", json=content("a")),
            await client.post(f"{base}/versions/dry-run", json=content("a", version=1)),
            await client.delete(base),
        ]

    assert [name(answer) for answer in answers] == [(403, "forbidden")] * 3


@pytest.mark.parametrize(("scope", "status"), [("course:analytics", 200), (SCOPE, 200), ("ops", 403), ("", 403)])
async def test_a_course_is_shown_to_its_owner_and_its_instructors(
    app: FastAPI, issuer: Issuer, user: UUID, base: str, scope: str, status: int
) -> None:
    async with client_of(app, issuer.token(user, scope, courses="*")) as client:
        assert (await client.get(base)).status_code == status


async def test_a_version_is_not_even_read_without_the_scope(nowhere: FastAPI, issuer: Issuer, base: str) -> None:
    async def read() -> AsyncIterator[bytes]:
        reads.append(base)
        yield b"{"

    reads: list[str] = []
    async with client_of(nowhere, issuer.token(uuid4(), courses="*")) as client:
        answer = await client.put(f"{base}/versions/1", content=read(), headers={"Content-Type": "application/json"})

    assert (name(answer), reads) == ((403, "forbidden"), [])
