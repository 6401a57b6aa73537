"""A course without a version is known by the setting, a lesson by any version of its course."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from events.catalog import CatalogLesson, CoursePublished
from tests.databases import NOON
from worker.courses.admission import Admission, UnknownCourses
from worker.courses.catalog_sink import store_version
from worker.errors import DatabaseUnavailable
from worker.learners.reads import ProgressReader
from worker.postgres.connection import query
from worker.postgres.pool import connect_pool
from worker.settings import Settings


@pytest.fixture
def course() -> UUID:
    return uuid4()


@pytest.fixture
async def reads(database_settings: Settings) -> AsyncIterator[ProgressReader]:
    pool = await connect_pool(database_settings)
    yield ProgressReader(pool)
    await pool.close()


@pytest.fixture
async def no_reads() -> AsyncIterator[ProgressReader]:
    pool = await connect_pool(Settings(database_url="postgresql://postgres@127.0.0.1:1/none"))
    yield ProgressReader(pool)
    await pool.close()


async def store(connection: asyncpg.Connection, course: UUID, version: int, *lessons: CatalogLesson) -> None:
    await store_version(connection, CoursePublished(course_id=course, version=version, lessons=lessons), NOON)
    await connection.execute(query("courses/close_replacements"), course)


async def test_a_lesson_is_known_by_any_version_also_as_one_that_was_replaced(
    connection: asyncpg.Connection, reads: ProgressReader, course: UUID
) -> None:
    await store(connection, course, 1, CatalogLesson(lesson_id="old"), CatalogLesson(lesson_id="a"))
    await store(connection, course, 2, CatalogLesson(lesson_id="new", replaces=("before",)))
    named = [(course, lesson) for lesson in ("old", "new", "before", None, "typo")]

    found = await Admission("auto").find_unknown(reads, named)

    assert found == [None, None, None, None, "lesson"]


async def test_a_lesson_is_known_as_soon_as_a_version_is_stored(
    connection: asyncpg.Connection, reads: ProgressReader, course: UUID
) -> None:
    admission = Admission("auto")
    await store(connection, course, 1, CatalogLesson(lesson_id="a"))
    before = await admission.find_unknown(reads, [(course, "b")])
    await store(connection, course, 2, CatalogLesson(lesson_id="b"))

    assert (before, await admission.find_unknown(reads, [(course, "b")])) == (["lesson"], [None])


@pytest.mark.parametrize(
    ("setting", "before", "after"), [("auto", None, "course"), ("trust", None, None), ("refuse", "course", "course")]
)
async def test_a_course_without_a_version_is_known_by_the_setting(
    connection: asyncpg.Connection,
    reads: ProgressReader,
    course: UUID,
    setting: UnknownCourses,
    before: str | None,
    after: str | None,
) -> None:
    admission, named = Admission(setting), [(uuid4(), "x"), (uuid4(), None)]
    first = await admission.find_unknown(reads, named)
    await store(connection, course, 1, CatalogLesson(lesson_id="a"))

    found = await admission.find_unknown(reads, [*named, (course, "a")])

    assert (first, found) == ([before] * 2, [after, after, None])


@pytest.mark.parametrize("setting", ["auto", "trust"])
async def test_without_postgresql_writes_go_on(no_reads: ProgressReader, course: UUID, setting: UnknownCourses) -> None:
    assert await Admission(setting).find_unknown(no_reads, [(course, "x")]) == [None]


async def test_without_postgresql_nobody_writes_where_an_unknown_course_would_be_refused(
    connection: asyncpg.Connection, reads: ProgressReader, no_reads: ProgressReader, course: UUID
) -> None:
    auto = Admission("auto")
    await store(connection, course, 1, CatalogLesson(lesson_id="a"))
    await auto.find_unknown(reads, [(course, "a")])

    for admission in (auto, Admission("refuse")):
        with pytest.raises(DatabaseUnavailable):
            await admission.find_unknown(no_reads, [(course, "a")])
