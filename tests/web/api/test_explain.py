"""Whoever may read a learner's progress may read over HTTP why it is what it is."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
from fastapi import FastAPI

from events.catalog import CatalogLesson, CoursePublished
from tests.callers import Issuer, Lesson, client_of
from tests.databases import publish_version
from tests.explanations import recompute


async def publish(rows: asyncpg.Connection, course: UUID, *lessons: str) -> None:
    listed = tuple(CatalogLesson(lesson_id=id, title=id.upper()) for id in lessons)
    await publish_version(rows, CoursePublished(course_id=course, version=1, title="Statistics", lessons=listed))


async def explain(client: httpx.AsyncClient, course: UUID, **params: Any) -> Any:
    answer = await client.get(f"/api/progress/{course}/explain", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["explanation"]


async def test_the_explanation_says_what_the_progress_says(
    client: httpx.AsyncClient, rows: asyncpg.Connection, lesson: Lesson, course: UUID, user: UUID
) -> None:
    await publish(rows, course, "a", "b", "c")
    await client.post("/api/progress/complete", json=lesson("a"))
    progress = (await client.get(f"/api/progress/{course}")).json()["progress"]

    found = await explain(client, course)

    assert (found["userId"], found["courseId"]) == (str(user), str(course))
    assert found["summary"] == "33 %: 1 of 3 required lessons of version 1 met, 2 missing."
    assert found["agrees"] is True
    assert [(each["title"], each["state"]) for each in found["lessons"]] == [
        ("A", "completed"),
        ("B", "missing"),
        ("C", "missing"),
    ]
    assert recompute(found)["progress_percentage"] == progress["progressPercentage"] == 33


async def test_who_has_not_begun_a_course_reads_all_that_it_requires(
    client: httpx.AsyncClient, rows: asyncpg.Connection, course: UUID
) -> None:
    await publish(rows, course, "a", "b")

    found = await explain(client, course)

    assert (found["row"], found["arithmetic"]["percentage"], found["agrees"]) == (None, 0, True)
    assert [each["state"] for each in found["lessons"]] == ["missing", "missing"]


async def test_a_course_without_a_version_is_explained_by_its_events(
    client: httpx.AsyncClient, lesson: Lesson, course: UUID
) -> None:
    await client.post("/api/progress/complete", json=lesson("a", totalLessons=1))

    found = await explain(client, course)

    assert (found["version"]["reason"], found["rule"]) == (
        "no-version",
        "1 completed lesson, the number that the latest event gave",
    )
    assert [(each["type"], each["cause"]) for each in found["transitions"]] == [("CourseCompleted", "learner")]
    assert recompute(found)["completion_number"] == 1


async def test_there_is_nothing_to_explain_about_a_course_that_nobody_knows(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/api/progress/{uuid4()}/explain")

    assert answer.status_code == 404
    assert answer.json()["detail"] == "no progress in this course"


async def test_another_learner_is_explained_to_who_may_read_any(
    app: FastAPI, issuer: Issuer, client: httpx.AsyncClient, rows: asyncpg.Connection, lesson: Lesson, course: UUID,
    user: UUID,
) -> None:  # fmt: skip
    await publish(rows, course, "a", "b")
    await client.post("/api/progress/complete", json=lesson("a"))
    path = f"/api/progress/{course}/explain?userId={user}"

    async with client_of(app, issuer.token(uuid4())) as stranger:
        refused = await stranger.get(path)
    async with client_of(app, issuer.token(uuid4(), "progress:read:any")) as support:
        answered = await support.get(path)

    assert refused.status_code == 403
    assert answered.json()["explanation"]["row"]["progressPercentage"] == 50


async def test_an_unchanged_explanation_is_a_304(
    client: httpx.AsyncClient, rows: asyncpg.Connection, course: UUID
) -> None:
    await publish(rows, course, "a")
    path = f"/api/progress/{course}/explain"
    first = await client.get(path)

    again = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.content) == (304, b"")
