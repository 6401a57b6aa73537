"""The commands `waive` and `unwaive` publish for lessons that a version names, and refuse others."""

import asyncio
from uuid import UUID, uuid4

import asyncpg

from events.catalog import CatalogLesson, CoursePublished
from events.envelope import data_of, read
from events.models import LESSON_EVENTS, LessonWaived, LessonWaiverWithdrawn
from tests.command_line import run
from tests.factories import NOW
from tests.processes import environment
from tests.topics import records_of
from worker.courses.catalog_sink import store_version
from worker.settings import Settings

LEARNER = uuid4()


async def publish_course(connection: asyncpg.Connection) -> UUID:
    course = uuid4()
    version = CoursePublished(course_id=course, version=1, lessons=(CatalogLesson(lesson_id="quiz"),))
    await store_version(connection, version, NOW)
    return course


async def run_for(settings: Settings, command: str, course: UUID, lesson: str, *more: str) -> tuple[int, str, str]:
    options = ["--user", str(LEARNER), "--course", str(course), "--lesson", lesson, *more]
    return await asyncio.to_thread(run, command, *options, **environment(settings))


async def test_a_waiver_and_its_withdrawal_are_published(settings: Settings, connection: asyncpg.Connection) -> None:
    course = await publish_course(connection)

    waived = await run_for(settings, "waive", course, "quiz", "--reason", "passed it at school")
    withdrawn = await run_for(settings, "unwaive", course, "quiz")

    assert (waived[0], withdrawn[0]) == (0, 0), (waived, withdrawn)
    records = await records_of(settings, settings.lesson_events_topic, 2)
    ids = {"user_id": LEARNER, "course_id": course, "lesson_id": "quiz"}
    assert [data_of(read(record.value, record.headers), LESSON_EVENTS) for record in records] == [
        LessonWaived(**ids, reason="passed it at school"),
        LessonWaiverWithdrawn(**ids),
    ]


async def test_a_lesson_that_no_version_names_is_refused(settings: Settings, connection: asyncpg.Connection) -> None:
    course = await publish_course(connection)

    status, output, errors = await run_for(settings, "waive", course, "quizz", "--reason", "ill")

    assert (status, output) == (1, "")
    assert f"no version of course {course} names lesson quizz" in errors


async def test_a_waiver_needs_a_reason(settings: Settings) -> None:
    status, output, errors = await run_for(settings, "waive", uuid4(), "quiz", "--reason", "")

    assert (status, output) == (2, "")
    assert "--reason" in errors
