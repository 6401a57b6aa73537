"""The command `explain` says why a learner's percentage is what it is."""

import asyncio
import json
from uuid import UUID, uuid4

import asyncpg

from events.catalog import CatalogLesson, CoursePublished
from tests.command_line import run
from tests.databases import publish_version
from tests.processes import environment
from worker.settings import Settings


async def explain(settings: Settings, course: UUID, *more: str) -> tuple[int, str, str]:
    options = ["--user", str(uuid4()), "--course", str(course), *more]
    return await asyncio.to_thread(run, "explain", *options, **environment(settings))


async def publish_course(connection: asyncpg.Connection) -> UUID:
    course = uuid4()
    lessons = (CatalogLesson(lesson_id="quiz", title="Quiz\x1b[2J [bold]"), CatalogLesson(lesson_id="end"))
    await publish_version(connection, CoursePublished(course_id=course, version=1, lessons=lessons))
    return course


async def test_the_answer_comes_first_and_then_its_reasons(
    database_settings: Settings, connection: asyncpg.Connection
) -> None:
    course = await publish_course(connection)

    status, output, errors = await explain(database_settings, course)

    assert (status, errors) == (0, "")
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert lines[0] == "0 %: 0 of 2 required lessons of version 1 met, 2 missing."
    assert "rule all 2 required lessons" in lines
    assert "arithmetic 0 of 2 → 0 %" in lines
    assert r"· Quiz\x1b[2J [bold] (quiz) missing" in lines


async def test_the_json_has_all_of_it(database_settings: Settings, connection: asyncpg.Connection) -> None:
    course = await publish_course(connection)

    status, output, _ = await explain(database_settings, course, "--json")

    found = json.loads(output)
    assert status == 0
    assert (found["course_id"], found["arithmetic"]["needed"]) == (str(course), 2)
    assert [lesson["state"] for lesson in found["lessons"]] == ["missing", "missing"]


async def test_nothing_to_explain_is_an_exit_status(database_settings: Settings) -> None:
    told = await explain(database_settings, course := uuid4())
    as_json = await explain(database_settings, course, "--json")

    assert (told[0], told[1]) == (1, "")
    assert f"in course {course}, which has no version" in told[2]
    assert (as_json[0], as_json[1].strip()) == (1, "null")
