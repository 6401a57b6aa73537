"""Whole workers take versions of courses from course-catalog, beside lesson events and at any time."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from events import CatalogLesson, CourseCatalogPublisher, CourseCompletionRevoked, CoursePublished, LessonCompleted
from tests.command_line import run
from tests.factories import NOW
from tests.processes import Workers, environment
from tests.topics import certificates, publish
from worker.settings import Settings


async def publish_version(settings: Settings, course: UUID, version: int, *lessons: str, policy: str) -> None:
    event = CoursePublished(
        course_id=course,
        version=version,
        policy=policy,
        lessons=tuple(CatalogLesson(lesson_id=lesson) for lesson in lessons),
    )
    async with CourseCatalogPublisher(
        settings.kafka_bootstrap_servers, topic=settings.course_catalog_topic
    ) as publisher:
        await publisher.publish(event)


async def test_a_version_decides_and_the_next_reopens(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    course, users = uuid4(), [uuid4() for _ in range(3)]
    await publish(
        settings,
        [
            (
                LessonCompleted(user_id=user, course_id=course, lesson_id=lesson, total_lessons=9),
                NOW - timedelta(hours=1),
            )
            for user in users
            for lesson in ("a", "b")
        ],
    )
    await publish_version(settings, course, 1, "a", "b", policy="grandfather")
    assert workers.start("--until-idle").wait() == 0
    assert len(await certificates(settings, 3)) == 3

    await publish_version(settings, course, 2, "a", "b", "c", policy="reopen")
    assert workers.start("--until-idle").wait() == 0

    rows = await connection.fetch("select course_version, lessons_completed, total_lessons from course_progress")
    assert [tuple(row) for row in rows] == [(2, 2, 3)] * 3
    events = [received.event for received in (await certificates(settings, 6)).values()]
    revoked = [event for event in events if isinstance(event, CourseCompletionRevoked)]
    assert {event.user_id for event in revoked} == set(users)
    assert {event.cause for event in revoked} == {"course-changed"}


async def test_an_author_checks_publishes_and_sees_how_far_it_is(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    course, user = uuid4(), uuid4()
    file, variables = tmp_path / "course.yaml", environment(settings)
    file.write_text(
        f"course_id: {course}\nversion: 1\nlessons: [{{lesson_id: a}}, {{lesson_id: b, required: false}}]\n"
    )
    await publish(settings, [(LessonCompleted(user_id=user, course_id=course, lesson_id="a", total_lessons=9), NOW)])
    assert workers.start("--until-idle").wait() == 0

    status, said, _ = await asyncio.to_thread(run, "catalog", "check", str(file), "--json", **variables)
    assert (status, json.loads(said)["completed"], json.loads(said)["raised"]) == (0, 1, 1)
    status, said, _ = await asyncio.to_thread(run, "catalog", "publish", str(file), "--yes", **variables)
    assert (status, "1 would complete" in said) == (0, True)
    assert workers.start("--until-idle").wait() == 0

    status, said, _ = await asyncio.to_thread(run, "catalog", "status", **variables)
    assert (status, f"course {course} version 1: recounted; 1 changed, 1 completed" in said) == (0, True)
    assert await connection.fetchval("select progress_percentage from course_progress") == 100


async def test_a_file_that_is_not_a_version_is_explained_in_one_line(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "course.json"
    file.write_text('{"course_id": "x", "version": 0, "lessons": []}')

    status, _, errors = await asyncio.to_thread(run, "catalog", "check", str(file), **environment(settings))

    assert status == 1
    assert errors.count("\n") == 1
    assert all(part in errors for part in ("course_id: ", "version: ", "lessons: "))
