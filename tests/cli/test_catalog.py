"""Before the first version of all, an author is told which other courses websites write to."""

import asyncio
import json
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from events import CourseAccessed, LessonEventPublisher
from tests.command_line import run
from tests.databases import report_old_worker
from tests.processes import Workers, environment
from tests.topics import records_in
from worker.learners.service import SOURCE
from worker.settings import Settings


def write_version(folder: Path, course: UUID, version: int = 1) -> str:
    file = folder / f"{version}.yaml"
    file.write_text(f"course_id: {course}\nversion: {version}\nlessons: [{{lesson_id: a}}]\n")
    return str(file)


async def access(settings: Settings, *courses: UUID) -> None:
    async with LessonEventPublisher(
        settings.kafka_bootstrap_servers, topic=settings.lesson_events_topic, source=SOURCE
    ) as publisher:
        for course in courses:
            await publisher.publish(CourseAccessed(user_id=uuid4(), course_id=course))


async def run_publish(settings: Settings, file: str, *more: str) -> tuple[int, str, str]:
    return await asyncio.to_thread(run, "catalog", "publish", file, *more, **environment(settings))


async def test_the_first_version_of_all_names_the_courses_that_are_left_without_one(
    settings: Settings, workers: Workers, tmp_path: Path
) -> None:
    course, left = uuid4(), uuid4()
    await access(settings, course, left)

    status, first, _ = await run_publish(settings, write_version(tmp_path, course), "--yes")
    assert status == 0
    [named] = [line for line in first.splitlines() if "no course has had a version" in line]
    assert (str(left) in named, str(course) in named) == (True, False)

    assert workers.start("--until-idle").wait() == 0
    status, second, _ = await run_publish(settings, write_version(tmp_path, course, 2), "--yes")
    assert (status, "no course has had a version" in second) == (0, False)

    _, known, _ = await run_publish(settings, write_version(tmp_path, course), "--yes")
    assert "version 1 of course" in known
    assert "is known: publishing it again changes nothing" in known
    _, listed, _ = await asyncio.to_thread(run, "catalog", "status", "--json", **environment(settings))
    assert json.loads(listed)["course_id"] == str(course)


async def test_where_the_events_cannot_be_read_it_says_so_and_goes_on(settings: Settings, tmp_path: Path) -> None:
    elsewhere = settings.model_copy(update={"lesson_events_topic": "none-such"})

    status, output, _ = await run_publish(elsewhere, write_version(tmp_path, uuid4()), "--yes")

    assert (status, "is not known: topic none-such" in output) == (0, True)


async def test_nothing_is_published_while_a_worker_is_too_old(
    settings: Settings, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    await report_old_worker(connection, settings.consumer_group)

    status, _, errors = await run_publish(settings, write_version(tmp_path, uuid4()), "--yes")

    assert (status, "too old to know versions of courses: old-1" in errors) == (1, True)
    assert await records_in(settings, settings.course_catalog_topic) == 0
