"""A lesson that requires others is refused until these are met, and never because of what is still on its way."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from events.catalog import CatalogLesson, CoursePublished
from tests.callers import Issuer, api_settings, client_of
from tests.databases import new_database, new_settings, publish_version
from tests.processes import WorkerProcess, Workers
from worker.learners.applied import AppliedOffsets
from worker.learners.service import ProgressService
from worker.web.app import create_api
from worker.web.keys import PemKeys

YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
COMPLETE, BATCH = "/api/progress/complete", "/api/progress/complete/batch"


def chain(course: UUID, version: int = 1, **changed: Any) -> CoursePublished:
    """Builds a course of Basics, Verbs and Nouns; each requires the one before."""
    lessons = [
        CatalogLesson(lesson_id="a", title="Basics"),
        CatalogLesson(lesson_id="b", title="Verbs", requires=("a",)),
        CatalogLesson(lesson_id="c", title="Nouns", requires=("b",)),
    ]
    return CoursePublished(course_id=course, version=version, lessons=tuple(lessons), **changed)


def item(course: UUID, lesson: str, minute: int = 0, type: str = "LessonCompleted") -> dict[str, Any]:
    at = YESTERDAY + timedelta(minutes=minute)
    return {"type": type, "courseId": str(course), "lessonId": lesson, "occurredAt": at.isoformat()}


def body(course: UUID, lesson: str) -> dict[str, str]:
    return {"courseId": str(course), "lessonId": lesson}


@pytest.fixture
async def chained(rows: asyncpg.Connection, course: UUID) -> UUID:
    await publish_version(rows, chain(course))
    return course


async def test_a_lesson_is_refused_until_what_it_requires_is_completed(
    client: httpx.AsyncClient, chained: UUID
) -> None:
    refused = await client.post(COMPLETE, json=body(chained, "b"))
    await client.post(COMPLETE, json=body(chained, "a"))
    taken = await client.post(COMPLETE, json=body(chained, "b"))

    assert refused.status_code == 409
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json() == {
        "type": "urn:course-progress:problem:prerequisite-missing",
        "title": "Other lessons are to be completed first",
        "status": 409,
        "detail": "Complete “Basics” first",
        "instance": COMPLETE,
        "missing": [{"lessonId": "a", "title": "Basics"}],
    }
    assert (taken.status_code, taken.json()["progress"]["completedLessons"]) == (200, ["a", "b"])


async def test_a_refused_click_leaves_nothing_behind(client: httpx.AsyncClient, chained: UUID) -> None:
    await client.post(COMPLETE, json=body(chained, "b"))

    assert (await client.get(f"/api/progress/{chained}")).status_code == 404


async def test_a_prerequisite_that_is_added_takes_nothing_back(
    client: httpx.AsyncClient, rows: asyncpg.Connection, course: UUID
) -> None:
    free = [CatalogLesson(lesson_id=id) for id in "abc"]
    await publish_version(rows, CoursePublished(course_id=course, version=1, lessons=tuple(free)))
    await client.post(COMPLETE, json=body(course, "b"))
    await publish_version(rows, chain(course, 2))

    again = await client.post(COMPLETE, json=body(course, "b"))
    behind = await client.post(COMPLETE, json=body(course, "c"))
    taken_back = await client.request("DELETE", COMPLETE, json=body(course, "b"))
    anew = await client.post(COMPLETE, json=body(course, "b"))

    assert [answer.status_code for answer in (again, behind, taken_back, anew)] == [200, 200, 200, 409]
    assert behind.json()["progress"]["completedLessons"] == ["b", "c"]


async def test_a_waived_lesson_and_one_that_was_replaced_are_met(
    client: httpx.AsyncClient, rows: asyncpg.Connection, issuer: Issuer, app: Any, user: UUID, course: UUID
) -> None:
    old = CatalogLesson(lesson_id="old")
    await publish_version(rows, CoursePublished(course_id=course, version=1, lessons=(old,)))
    await client.post(COMPLETE, json=body(course, "old"))
    lessons = (
        CatalogLesson(lesson_id="new", replaces=("old",)),
        CatalogLesson(lesson_id="test"),
        CatalogLesson(lesson_id="end", requires=("new", "test")),
    )
    await publish_version(rows, CoursePublished(course_id=course, version=2, lessons=lessons))
    before = await client.post(COMPLETE, json=body(course, "end"))
    token = issuer.token(uuid4(), "waivers:write", courses="*")
    async with client_of(app, token) as teacher:
        waiver = {"lessonId": "test", "reason": "knows it"}
        waived = await teacher.post(f"/api/courses/{course}/learners/{user}/waivers", json=waiver)

    after = await client.post(COMPLETE, json=body(course, "end"))

    assert [missing["lessonId"] for missing in before.json()["missing"]] == ["test"]
    assert (waived.status_code, after.status_code) == (200, 200)


async def test_of_very_many_missing_lessons_some_are_named(
    client: httpx.AsyncClient, rows: asyncpg.Connection, course: UUID
) -> None:
    many = [CatalogLesson(lesson_id=f"{number:03}") for number in range(150)]
    last = CatalogLesson(lesson_id="last", requires=tuple(lesson.lesson_id for lesson in many))
    await publish_version(rows, CoursePublished(course_id=course, version=1, lessons=(*many, last)))

    single = (await client.post(COMPLETE, json=body(course, "last"))).json()
    batch = (await client.post(BATCH, json={"events": [item(course, "last")]})).json()["results"][0]

    assert single["detail"] == "Complete “000”, “001”, “002” and 147 more first"
    for refused in (single, batch):
        assert (len(refused["missing"]), refused["moreMissing"]) == (100, 50)


# Batches


async def test_a_batch_that_completes_what_it_requires_is_taken(client: httpx.AsyncClient, chained: UUID) -> None:
    events = [item(chained, "c", 3), item(chained, "a", 1), item(chained, "b", 2)]
    answers = [(await client.post(BATCH, json={"events": events})).json() for _ in range(2)]

    assert [result["status"] for result in answers[0]["results"]] == ["applied"] * 3
    assert answers[0]["progress"][0]["completedLessons"] == ["a", "b", "c"]
    assert answers[0]["results"] == answers[1]["results"]


async def test_an_event_of_a_batch_is_refused_alone(client: httpx.AsyncClient, chained: UUID) -> None:
    events = [item(chained, "a", 1), item(chained, "c", 2), item(chained, "typo", 3), item(chained, "b", 4)]

    answer = (await client.post(BATCH, json={"events": events})).json()

    assert [result["status"] for result in answer["results"]] == ["applied", "rejected", "rejected", "applied"]
    assert answer["results"][1] == {
        "status": "rejected",
        "eventId": None,
        "errors": [{"pointer": "/lessonId", "detail": "Complete “Verbs” first"}],
        "missing": [{"lessonId": "b", "title": "Verbs"}],
    }
    assert "missing" not in answer["results"][2]
    assert answer["progress"][0]["completedLessons"] == ["a", "b"]


# What is on its way


@dataclass
class Place:
    """A worker that can be paused, and two APIs that know nothing of each other: the second one waits longer."""

    worker: WorkerProcess
    first: httpx.AsyncClient
    second: httpx.AsyncClient

    def pause(self) -> None:
        self.worker.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.worker.process.send_signal(signal.SIGCONT)


@pytest.fixture
async def place(
    admin_url: str, template: str, kafka_bootstrap_servers: str, issuer: Issuer, user: UUID, course: UUID
) -> AsyncIterator[Place]:
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(new_database(admin_url, template))
        settings = api_settings(await new_settings(url, kafka_bootstrap_servers), issuer)
        rows = await asyncpg.connect(url)
        await publish_version(rows, chain(course))
        await rows.close()
        worker = opened.enter_context(Workers(settings)).start()
        clients = []
        for deadline_s in (0.5, 30):
            changed = settings.model_copy(update={"apply_deadline_s": deadline_s})
            service = await opened.enter_async_context(ProgressService(changed))
            app = create_api(changed, PemKeys(issuer.key_file), service)
            clients.append(await opened.enter_async_context(client_of(app, issuer.token(user))))
        opened_course = await clients[1].post("/api/progress/access", json={"courseId": str(course)})
        assert opened_course.status_code == 200  # the worker applies what comes
        yield Place(worker, *clients)


async def test_a_prerequisite_on_its_way_refuses_nothing(place: Place, course: UUID) -> None:
    place.pause()
    accepted = await place.first.post(COMPLETE, json=body(course, "a"))
    behind = await place.first.post(COMPLETE, json=body(course, "b"))
    batch = await place.first.post(BATCH, json={"events": [item(course, "c")]})
    place.resume()

    answer = await place.second.post("/api/progress/access", json={"courseId": str(course)})

    assert [answer.status_code for answer in (accepted, behind, batch)] == [202, 202, 202]
    assert answer.json()["progress"]["progressPercentage"] == 100


async def test_without_looking_at_what_is_on_its_way_it_would(
    place: Place, course: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AppliedOffsets, "catch_up", true)
    place.pause()
    await place.first.post(COMPLETE, json=body(course, "a"))

    behind = await place.first.post(COMPLETE, json=body(course, "b"))

    assert behind.status_code == 409


async def true(*_: object) -> bool:
    return True


@pytest.mark.parametrize(("lesson", "status"), [("b", 200), ("c", 409)])
async def test_the_answer_waits_until_another_apis_event_is_applied(
    place: Place, course: UUID, monkeypatch: pytest.MonkeyPatch, lesson: str, status: int
) -> None:
    monkeypatch.setattr("worker.learners.applied.CATCH_UP_WITHIN_S", 30)
    asked = asyncio.Event()
    original = AppliedOffsets._has_passed

    async def note(self: AppliedOffsets, *arguments: Any, **named: Any) -> bool:
        passed = await original(self, *arguments, **named)
        asked.set()
        return passed

    place.pause()
    await place.first.post(COMPLETE, json=body(course, "a"))
    monkeypatch.setattr(AppliedOffsets, "_has_passed", note)
    waiting = asyncio.create_task(place.second.post(COMPLETE, json=body(course, lesson)))
    await asked.wait()
    place.resume()

    answer = await waiting

    assert answer.status_code == status, answer.text
