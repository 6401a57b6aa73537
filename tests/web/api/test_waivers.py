"""Whoever is in charge of a course waives lessons of its learners over HTTP, and takes waivers back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from events.models import LessonEvent, LessonWaived, LessonWaiverWithdrawn, ProgressReset
from tests.callers import Issuer, Lesson, client_of
from worker.learners.service import ProgressService

SCOPES = "waivers:write catalog:write"
PROBLEM = "urn:course-progress:problem:"


@pytest.fixture
def path(course: UUID, user: UUID) -> str:
    return f"/api/courses/{course}/learners/{user}/waivers"


@pytest.fixture
async def staff(app: FastAPI, issuer: Issuer, course: UUID) -> AsyncIterator[httpx.AsyncClient]:
    """Calls as somebody who may publish the course, and waive its lessons."""
    async with client_of(app, issuer.token(uuid4(), SCOPES, courses=[str(course)])) as client:
        yield client


async def publish(staff: httpx.AsyncClient, course: UUID, *lessons: str) -> None:
    content = {"lessons": [{"lessonId": lesson} for lesson in lessons]}
    answer = await staff.put(f"/api/courses/{course}/versions/1", json=content)
    assert answer.status_code == 200, answer.text


async def read(client: httpx.AsyncClient, course: UUID) -> Any:
    return (await client.get(f"/api/progress/{course}")).json()["progress"]


async def test_a_waived_lesson_counts_as_met_until_the_waiver_is_taken_back(
    staff: httpx.AsyncClient, client: httpx.AsyncClient, lesson: Lesson, course: UUID, path: str
) -> None:
    await publish(staff, course, "a", "b")
    await client.post("/api/progress/complete", json=lesson("a"))

    waived = await staff.post(path, json={"lessonId": "b", "reason": "passed it at school"})
    complete = await read(client, course)
    withdrawn = await staff.request("DELETE", path, json={"lessonId": "b"})
    open_again = await read(client, course)

    assert [waived.status_code, withdrawn.status_code] == [200, 200], (waived.text, withdrawn.text)
    assert UUID(waived.json()["eventId"])
    assert (waived.json()["success"], withdrawn.json()["success"]) == (True, True)
    assert (complete["progressPercentage"], open_again["progressPercentage"]) == (100, 50)


@pytest.mark.parametrize(
    ("known", "method", "success"),
    [
        (LessonWaiverWithdrawn, "POST", False),
        (LessonWaiverWithdrawn, "DELETE", False),
        (LessonWaived, "DELETE", False),
        (LessonWaived, "POST", True),  # the lesson is waived
        (ProgressReset, "POST", False),
        (ProgressReset, "DELETE", False),
    ],
)
async def test_a_waiver_before_a_known_event_that_decides_is_not_a_success(
    staff: httpx.AsyncClient,
    service: ProgressService,
    user: UUID,
    course: UUID,
    path: str,
    known: type[LessonEvent],
    method: str,
    success: bool,
) -> None:
    await publish(staff, course, "a", "b")
    event = known.model_validate({"user_id": user, "course_id": course, "lesson_id": "a", "reason": "ill"})
    await service.publish_and_wait([(event, datetime.now(UTC) + timedelta(minutes=4), str(uuid4()))])

    answer = await staff.request(method, path, json={"lessonId": "a", "reason": "ill"})

    assert (answer.status_code, answer.json()["success"]) == (200, success)


async def test_a_waiver_needs_a_version_that_names_the_lesson(
    staff: httpx.AsyncClient, course: UUID, path: str
) -> None:
    body = {"lessonId": "quizz", "reason": "ill"}
    without = await staff.post(path, json=body)
    await publish(staff, course, "quiz")
    unknown = [await staff.post(path, json=body), await staff.request("DELETE", path, json=body)]

    assert (without.status_code, without.json()["type"]) == (404, PROBLEM + "unknown-course")
    assert [(answer.status_code, answer.json()["type"]) for answer in unknown] == [
        (404, PROBLEM + "unknown-lesson")
    ] * 2


@pytest.mark.parametrize(("body", "pointer"), [({"lessonId": "a"}, "/reason"), ({"reason": "ill"}, "/lessonId")])
async def test_a_waiver_has_a_lesson_and_a_reason(
    staff: httpx.AsyncClient, path: str, body: dict[str, str], pointer: str
) -> None:
    answer = await staff.post(path, json=body)

    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (400, [pointer])


@pytest.mark.parametrize(
    ("scope", "courses"),
    [("catalog:write ops", "*"), ("waivers:write", None), ("waivers:write", [str(uuid4())])],
    ids=["no scope", "no claim", "another course"],
)
async def test_nobody_else_waives(
    app: FastAPI, issuer: Issuer, user: UUID, path: str, scope: str, courses: Any
) -> None:
    async with client_of(app, issuer.token(user, scope, courses=courses)) as client:
        answers = [
            await client.request(method, path, json={"lessonId": "a", "reason": "ill"}) for method in ("POST", "DELETE")
        ]

    assert [answer.status_code for answer in answers] == [403, 403]
