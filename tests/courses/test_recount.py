"""A recount goes through a course in chunks, and everybody can see how far it is."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from events import CatalogLesson, CoursePublished
from tests.databases import learners, publish_version
from worker.courses import recount as module
from worker.courses.recount import Recount
from worker.metrics import prometheus as metrics
from worker.postgres.connection import query
from worker.settings import Settings


@pytest.fixture
async def recount(database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Recount]:
    monkeypatch.setattr(module, "CHUNK", 2)
    recount = Recount(database_settings, lambda: None)
    recount._partitions = [0]
    yield recount
    await recount.on_stop()


def published(course: UUID, version: int, *lessons: str) -> CoursePublished:
    return CoursePublished(
        course_id=course, version=version, lessons=tuple(CatalogLesson(lesson_id=lesson) for lesson in lessons)
    )


async def status(connection: asyncpg.Connection) -> list[tuple[int, int | None, bool]]:
    rows = await connection.fetch(query("courses/recount_status"))
    return [(row["rows_seen"], row["rows_expected"], row["finished_at"] is not None) for row in rows]


async def test_the_rows_are_counted_first_and_every_chunk_moves_on(
    recount: Recount, connection: asyncpg.Connection
) -> None:
    course = uuid4()
    await learners(connection, course, 3, ["a"], total=1)
    await publish_version(connection, published(course, 1, "a"))
    seen = [await status(connection)]

    while await recount.recount_chunk():
        seen.append(await status(connection))

    assert seen == [[(0, None, False)], [(0, 3, False)], [(2, 3, False)], [(3, 3, True)]]


async def test_the_next_version_is_recounted_from_the_start_and_its_rows_are_counted_anew(
    recount: Recount, connection: asyncpg.Connection
) -> None:
    course = uuid4()
    await learners(connection, course, 1, ["a"], total=1)
    await publish_version(connection, published(course, 1, "a"))
    while await recount.recount_chunk():
        pass
    await learners(connection, course, 1, ["a"], total=1)

    await publish_version(connection, published(course, 2, "a", "b"))
    assert await status(connection) == [(0, None, False)]
    while await recount.recount_chunk():
        pass

    assert await status(connection) == [(2, 2, True)]


async def test_a_gauge_says_how_many_courses_wait(recount: Recount, connection: asyncpg.Connection) -> None:
    for _ in range(2):
        await publish_version(connection, published(uuid4(), 1, "a"))
    waiting = []

    while await recount.recount_chunk():
        waiting.append(metrics.RECOUNTS._value.get())
    waiting.append(metrics.RECOUNTS._value.get())

    assert waiting == [2, 2, 1, 1, 0]
