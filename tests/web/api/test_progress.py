"""Calls read what a running worker has applied."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.catalog import CoursePublished
from tests.callers import Issuer, Lesson, client_of
from tests.databases import invent, publish_version
from worker.learners.reads import MOST_LESSONS
from worker.learners.service import ProgressService
from worker.web.settings import ApiSettings

START = datetime(2026, 11, 1, tzinfo=UTC)


async def test_a_cursor_of_another_origin_is_refused_by_name(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/progress?cursor=x")

    assert answer.status_code == 400
    assert [error["parameter"] for error in answer.json()["errors"]] == ["cursor"]


async def test_statistics_and_bulk_are_the_learners(client: httpx.AsyncClient, lesson: Lesson, course: UUID) -> None:
    other = uuid4()
    for each in (course, other):
        await client.post("/api/progress/complete", json=lesson(courseId=str(each)))

    stats = await client.get("/api/progress/stats")
    some = await client.get("/api/progress", params={"courseIds": f"{other},{uuid4()}"})

    assert stats.json()["stats"] == {
        "totalCourses": 2,
        "completedCourses": 0,
        "inProgressCourses": 2,
        "lessonsCompleted": 2,
        "averagePercentage": 25,
    }
    assert [progress["courseId"] for progress in some.json()["items"]] == [str(other)]


@pytest.mark.parametrize("path", ["/api/progress", "/api/progress/stats", "/api/progress/{course}"])
async def test_known_content_is_answered_with_304_until_it_changes(
    client: httpx.AsyncClient, lesson: Lesson, course: UUID, path: str
) -> None:
    path = path.format(course=course)
    await client.post("/api/progress/complete", json=lesson())
    first = await client.get(path)
    known = {"If-None-Match": f'"other", {first.headers["ETag"]}'}

    unchanged = await client.get(path, headers=known)
    await client.post("/api/progress/complete", json=lesson("b"))
    changed = await client.get(path, headers=known)

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == first.headers["ETag"]
    assert first.headers["Cache-Control"] == unchanged.headers["Cache-Control"] == "private, no-cache"
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]
    assert changed.json()["asOf"] > first.json()["asOf"]


INSERT = """
insert into course_progress_all (user_id, course_id, last_accessed_at, started_at, lessons_completed, total_lessons,
                                 completed_at)
select $1, course_id, at, at, 1, case when done then 1 else 2 end, case when done then at end
from unnest($2::uuid[], $3::timestamptz[], $4::boolean[]) as c (course_id, at, done)
"""


@given(
    courses=st.lists(st.tuples(st.uuids(), st.integers(0, 3), st.booleans()), max_size=12, unique_by=lambda c: c[0]),
    limit=st.integers(1, 6),
    completed=st.booleans(),
)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_pages_together_are_the_whole_list(
    app: FastAPI,
    issuer: Issuer,
    shared: ApiSettings,
    courses: list[tuple[UUID, int, bool]],
    limit: int,
    completed: bool,
) -> None:
    user = uuid4()
    connection = await asyncpg.connect(shared.database_url.get_secret_value())
    columns = [[c for c, _, _ in courses], [START + timedelta(hours=h) for _, h, _ in courses]]
    await connection.execute(INSERT, user, *columns, [done for _, _, done in courses])
    await connection.close()
    query: dict[str, Any] = {"limit": limit, "includeCompleted": completed}

    pages = []
    async with client_of(app, issuer.token(user)) as client:
        while not pages or query["cursor"]:
            pages.append((await client.get("/api/progress", params=query)).json())
            query["cursor"] = pages[-1]["nextCursor"]
        service: ProgressService = app.state.service
        whole = await service.get_user_progress(user, include_completed=completed)

    together = [progress["courseId"] for page in pages for progress in page["items"]]
    assert together == [str(progress.course_id) for progress in whole]
    assert len(whole) == sum(completed or not done for _, _, done in courses)
    assert all(len(page["items"]) == limit for page in pages[:-1])


async def test_an_answer_is_bounded_whatever_the_learner_has_and_its_pages_have_the_rest(
    client: httpx.AsyncClient, rows: asyncpg.Connection, user: UUID, course: UUID
) -> None:
    longest = "\x01" * 248  # which JSON writes in six bytes each
    await invent(rows, user, course, 12_000, pad=longest)
    others = [uuid4() for _ in range(3)]
    for other in others:
        await invent(rows, user, other, MOST_LESSONS, pad=longest)

    one = await client.get(f"/api/progress/{course}")
    answers = [
        one,
        await client.get("/api/progress"),
        await client.get("/api/progress", params={"courseIds": f"{course},{others[0]}"}),
    ]
    lessons = await client.get(f"/api/progress/{course}/lessons", params={"limit": 700})

    progress = one.json()["progress"]
    assert (len(progress["completedLessons"]), progress["moreLessons"]) == (MOST_LESSONS, 12_000 - MOST_LESSONS)
    assert max(len(answer.content) for answer in answers) < 3_200_000
    assert [sum(len(p["completedLessons"]) for p in a.json()["items"]) for a in answers[1:]] == [MOST_LESSONS] * 2
    assert [lesson["lessonId"] for lesson in lessons.json()["items"]] == progress["completedLessons"][:700]


async def test_the_lessons_of_a_course_are_in_pages(
    client: httpx.AsyncClient, lesson: Lesson, user: UUID, course: UUID
) -> None:
    for name in ("b", "a b", "c"):
        await client.post("/api/progress/complete", json=lesson(name))
    path = f"/api/progress/{course}/lessons"

    first = (await client.get(path, params={"limit": 2})).json()
    second = (await client.get(path, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    after_all = await client.get(path, params={"cursor": "x"})
    nowhere = await client.get(f"/api/progress/{uuid4()}/lessons")

    assert [item["lessonId"] for item in first["items"] + second["items"]] == ["b", "a b", "c"]
    assert second["nextCursor"] is None
    assert (after_all.status_code, after_all.json()["errors"][0]["parameter"]) == (400, "cursor")
    assert nowhere.status_code == 404


# Next


async def test_the_next_lesson_is_the_first_that_is_left_and_open(
    client: httpx.AsyncClient, rows: asyncpg.Connection, course: UUID
) -> None:
    lessons = [
        {"lesson_id": "b", "title": "Verbs", "requires": ["a"]},
        {"lesson_id": "a", "title": "Basics", "section": "Start", "href": "/a"},
    ]
    await publish_version(rows, CoursePublished.model_validate({"course_id": course, "version": 1, "lessons": lessons}))
    found = [await client.get(f"/api/progress/{course}/next")]
    for lesson in ("a", "b"):
        await client.post("/api/progress/complete", json={"courseId": str(course), "lessonId": lesson})
        found.append(await client.get(f"/api/progress/{course}/next"))
    unchanged = await client.get(f"/api/progress/{course}/next", headers={"If-None-Match": found[2].headers["ETag"]})

    nothing = {"asOf": "", "courseId": str(course), "reason": None, "missing": [], "missingCourses": []}
    bare = nothing | {"lessonsAdded": 0}
    assert [answer.json() | {"asOf": ""} for answer in found] == [
        bare | {"next": {"lessonId": "a", "title": "Basics", "section": "Start", "href": "/a"}},
        bare | {"next": {"lessonId": "b", "title": "Verbs", "section": None, "href": None}},
        bare | {"next": None, "reason": "complete"},
    ]
    assert unchanged.status_code == 304


async def test_why_there_is_no_next_lesson_is_said(
    client: httpx.AsyncClient, rows: asyncpg.Connection, course: UUID
) -> None:
    behind, locked = uuid4(), uuid4()
    extra = {"lesson_id": "x", "title": "Extra", "required": False}
    for version in (
        {"course_id": behind, "lessons": [extra, {"lesson_id": "a", "requires": ["x"]}]},
        {"course_id": locked, "lessons": [{"lesson_id": "a"}], "requires_courses": [behind]},
    ):
        await publish_version(rows, CoursePublished.model_validate(version | {"version": 1}))

    answers = [(await client.get(f"/api/progress/{id}/next")).json() for id in (course, behind, locked)]

    assert [(answer["next"], answer["reason"]) for answer in answers] == [
        (None, "no-catalog"),
        (None, "locked"),
        (None, "course-locked"),
    ]
    assert answers[1]["missing"] == [{"lessonId": "x", "title": "Extra"}]
    assert answers[2]["missingCourses"] == [{"courseId": str(behind), "title": None}]


async def test_another_learners_next_lesson_needs_the_scope(client: httpx.AsyncClient, course: UUID) -> None:
    answer = await client.get(f"/api/progress/{course}/next", params={"userId": str(uuid4())})

    assert answer.status_code == 403
