"""The calls, over a running worker."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.processes import ApiProcess, Issuer, client_of
from worker.api.app import create_api
from worker.api.auth import PemKeys
from worker.service import ProgressService
from worker.settings import ApiSettings

Lesson = Callable[..., dict[str, Any]]
YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


def item(course: UUID, lesson: str, at: datetime = YESTERDAY, type: str = "LessonCompleted") -> dict[str, Any]:
    return {
        "type": type, "courseId": str(course), "lessonId": lesson, "totalLessons": 4, "occurredAt": at.isoformat()
    }  # fmt: skip


async def test_completing_a_lesson_answers_with_the_progress_after_it(
    client: httpx.AsyncClient, lesson: Lesson, user: UUID, course: UUID
) -> None:
    answer = await client.post("/api/progress/complete", json=lesson())

    assert answer.status_code == 200, answer.text
    body = answer.json()
    progress = body["progress"]
    assert body["success"] is True
    assert datetime.fromisoformat(body["asOf"]) >= datetime.fromisoformat(progress["lastAccessedAt"])
    assert progress == {
        "userId": str(user),
        "courseId": str(course),
        "lessonsCompleted": 1,
        "totalLessons": 4,
        "progressPercentage": 25,
        "completedLessons": ["a"],
        "lastLessonId": "a",
        "lastAccessedAt": progress["lastAccessedAt"],
        "startedAt": progress["lastAccessedAt"],
        "completedAt": None,
        "completionNumber": 0,
    }


async def test_taking_it_back_answers_with_the_progress_or_null_without_any(
    client: httpx.AsyncClient, lesson: Lesson
) -> None:
    without = await client.request("DELETE", "/api/progress/complete", json=lesson())
    await client.post("/api/progress/complete", json=lesson())
    taken = await client.request("DELETE", "/api/progress/complete", json=lesson())

    assert without.json() | {"asOf": ""} == {"success": False, "progress": None, "asOf": ""}
    assert taken.json()["success"] is True
    assert taken.json()["progress"]["completedLessons"] == []


async def test_an_access_creates_progress_and_a_reset_ends_it(client: httpx.AsyncClient, course: UUID) -> None:
    opened = await client.post("/api/progress/access", json={"courseId": str(course), "lessonId": "b"})
    first = await client.post("/api/progress/reset", json={"courseId": str(course)})
    again = await client.post("/api/progress/reset", json={"courseId": str(course)})

    assert opened.json()["progress"]["lastLessonId"] == "b"
    assert first.json() | {"asOf": ""} == {"success": True, "progress": None, "asOf": ""}
    assert again.json()["success"] is False
    gone = await client.get(f"/api/progress/{course}")
    assert gone.status_code == 404
    assert gone.json()["asOf"] > again.json()["asOf"]


async def test_what_is_not_applied_in_time_is_accepted_with_the_events_id(
    shared: ApiSettings, issuer: Issuer, user: UUID, lesson: Lesson, course: UUID
) -> None:
    nobodys = shared.model_copy(update={"consumer_group": "nobody", "apply_deadline_s": 0.05})
    async with ProgressService(nobodys) as service:
        impatient = create_api(nobodys, PemKeys(issuer.key_file), service)
        async with client_of(impatient, issuer.token(user)) as client:
            answer = await client.post("/api/progress/complete", json=lesson())
            batch = await client.post("/api/progress/complete/batch", json={"events": [item(course, "b")]})

    assert (answer.status_code, answer.json()["accepted"]) == (202, True)
    assert UUID(answer.json()["eventId"])
    assert (batch.status_code, [result["status"] for result in batch.json()["results"]]) == (202, ["accepted"])


# Batches


async def test_a_batch_is_answered_event_by_event_and_what_is_invalid_in_its_place(
    client: httpx.AsyncClient, course: UUID
) -> None:
    events = [item(course, "a"), {"type": "LessonCompleted", "courseId": "x"}, {"type": "Danced"}, item(course, "b")]
    answer = await client.post("/api/progress/complete/batch", json={"events": events})

    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [result["status"] for result in results] == ["applied", "rejected", "rejected", "applied"]
    assert "/courseId" in [error["pointer"] for error in results[1]["errors"]]
    assert results[2]["errors"][0]["detail"].startswith("Input tag 'Danced'")
    [progress] = answer.json()["progress"]
    assert progress["completedLessons"] == ["a", "b"]
    assert datetime.fromisoformat(progress["lastAccessedAt"]) == YESTERDAY


async def test_repeating_a_batch_changes_nothing_and_answers_with_the_same_ids(
    client: httpx.AsyncClient, course: UUID
) -> None:
    other = uuid4()
    events = [
        item(course, "a"),
        item(other, "a"),
        item(course, "b", YESTERDAY + timedelta(minutes=1)),
        item(course, "a", YESTERDAY + timedelta(minutes=2), "LessonUncompleted"),
        {"type": "CourseAccessed", "courseId": str(other), "occurredAt": (YESTERDAY + timedelta(hours=1)).isoformat()},
        {"type": "ProgressReset", "courseId": str(course), "occurredAt": (YESTERDAY - timedelta(1)).isoformat()},
    ]
    first, second = [
        (await client.post("/api/progress/complete/batch", json={"events": events})).json() for _ in range(2)
    ]

    assert first["results"] == second["results"]
    assert len({result["eventId"] for result in first["results"]}) == len(events)
    assert first["progress"] == second["progress"]
    assert {p["courseId"]: p["completedLessons"] for p in first["progress"]} == {str(course): ["b"], str(other): ["a"]}


async def test_a_batch_has_at_most_500_events(client: httpx.AsyncClient) -> None:
    events = [item(uuid4(), "a") for _ in range(501)]
    most = await client.post("/api/progress/complete/batch", json={"events": events[:500]})
    too_many = await client.post("/api/progress/complete/batch", json={"events": events})
    none = await client.post("/api/progress/complete/batch", json={"events": []})

    assert [answer.status_code for answer in (most, too_many, none)] == [200, 400, 400]
    assert {result["status"] for result in most.json()["results"]} == {"applied"}


@pytest.mark.parametrize("at", ["1999-12-31T23:59:59Z", "2026-01-01T00:00:00", "9999-12-31T23:59:59-12:00", "soon"])
async def test_a_time_that_no_event_can_carry_is_rejected(client: httpx.AsyncClient, course: UUID, at: str) -> None:
    answer = await client.post(
        "/api/progress/complete/batch", json={"events": [item(course, "a") | {"occurredAt": at}]}
    )

    [result] = answer.json()["results"]
    assert (result["status"], result["errors"][0]["pointer"]) == ("rejected", "/occurredAt")


# Reads


async def test_a_course_is_answered_alike_however_it_is_asked_for(
    client: httpx.AsyncClient, lesson: Lesson, user: UUID, course: UUID
) -> None:
    await client.post("/api/progress/complete", json=lesson())

    asked = (f"{course}", f"{course}".upper(), course.hex, f"{course}?userId={user}", f"{course}?other=1")
    answers = [await client.get(f"/api/progress/{text}") for text in asked]

    assert [answer.status_code for answer in answers] == [200] * len(asked)
    assert len({answer.headers["ETag"] for answer in answers}) == 1


@pytest.mark.parametrize("query", ["", "?other=1"])
async def test_what_is_nearly_a_course_id_is_none_however_it_is_asked_for(
    client: httpx.AsyncClient, course: UUID, query: str
) -> None:
    asked = (f"{course}".replace("-", "", 1), f"{course}%0A", f"{course}-")
    answers = [await client.get(f"/api/progress/{text}{query}") for text in asked]

    assert [answer.status_code for answer in answers] == [400] * len(asked)


async def test_a_cursor_that_is_none_of_ours_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/progress?cursor=x")

    assert answer.status_code == 400
    assert [error["parameter"] for error in answer.json()["errors"]] == ["cursor"]


async def test_statistics_and_bulk_are_the_learners(client: httpx.AsyncClient, course: UUID) -> None:
    other = uuid4()
    await client.post("/api/progress/complete/batch", json={"events": [item(course, "a"), item(other, "a")]})

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
async def test_who_has_this_content_already_is_told_so_until_it_changes(
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
    columns = [[c for c, _, _ in courses], [YESTERDAY + timedelta(hours=h) for _, h, _ in courses]]
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


async def test_a_read_by_another_process_sees_what_was_written_through_this_one(
    two: list[ApiProcess], issuer: Issuer
) -> None:
    async def writes_and_reads(number: int) -> None:
        user, course = uuid4(), uuid4()
        here, there = (api.client(issuer.token(user)) for api in (two[number % 2], two[(number + 1) % 2]))
        async with here, there:
            for lesson in ("a", "b", "c"):
                body = {"courseId": str(course), "lessonId": lesson, "totalLessons": 4}
                written = await here.post("/api/progress/complete", json=body)
                read = await there.get(f"/api/progress/{course}")

                assert written.status_code == 200, written.text
                assert read.json()["progress"] == written.json()["progress"]
                assert lesson in read.json()["progress"]["completedLessons"]

    await asyncio.gather(*(writes_and_reads(number) for number in range(6)))
