"""A dry run for a caller who waits ends in time, and holds up nobody."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition

from events.catalog import CatalogLesson, CoursePublished
from tests.databases import NOON, learners
from tests.processes import eventually
from worker.courses import dry_run
from worker.courses.catalog_sink import CatalogSink, store_version
from worker.courses.dry_run import try_version_in_time
from worker.errors import DatabaseUnavailable, TooMuchToCompare
from worker.postgres.failures import translate_errors
from worker.settings import Settings
from worker.stream.batch import Batch
from worker.stream.outcome import Occurrence, Record
from worker.stream.sink import Applied, Span

VERSION = CoursePublished(
    course_id=uuid4(), version=1, lessons=tuple(CatalogLesson(lesson_id=lesson) for lesson in ("a", "b", "new"))
)
CATALOG = TopicPartition("course-catalog", 0)


@pytest.fixture
async def sink(database_settings: Settings) -> AsyncIterator[CatalogSink]:
    sink = CatalogSink(database_settings, "catalog")
    yield sink
    await sink.close()


async def test_it_counts_and_leaves_nothing_behind(connection: asyncpg.Connection, database_settings: Settings) -> None:
    await learners(connection, VERSION.course_id, 3, ["a", "b"], total=2)
    await learners(connection, VERSION.course_id, 2, ["a"], total=2)

    found = await try_version_in_time(database_settings, VERSION)

    assert (found.learners, found.revoked, found.completed) == (5, 3, 0)
    assert await connection.fetchval("select count(*) from course_version") == 0


async def test_it_ends_in_time_whatever_the_server_does(
    connection: asyncpg.Connection, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(connection: asyncpg.Connection, *_: object) -> None:
        with translate_errors(connection):
            await connection.execute("set statement_timeout = 0; select pg_sleep(60)")

    monkeypatch.setattr(dry_run, "try_version", hang)
    monkeypatch.setattr(dry_run, "LONGEST_S", 0.3)

    with pytest.raises(TooMuchToCompare):
        await try_version_in_time(database_settings, VERSION)


async def test_another_failure_is_no_lack_of_time(
    connection: asyncpg.Connection, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise DatabaseUnavailable("a conflict")

    monkeypatch.setattr(dry_run, "try_version", fail)

    with pytest.raises(DatabaseUnavailable, match="a conflict"):
        await try_version_in_time(database_settings, VERSION)


async def test_who_stores_the_version_meanwhile_waits_without_the_lock_that_lesson_events_need(
    connection: asyncpg.Connection, database_settings: Settings, database_url: str, sink: CatalogSink
) -> None:
    record = Record(*CATALOG, 0, -1, 0, None, b"", None, 0, 0, ())
    batch = Batch([(record, Occurrence(NOON, VERSION, *CATALOG))], {CATALOG: Span(None, 1)})
    transaction = connection.transaction()
    await transaction.start()
    await store_version(connection, VERSION, NOON)
    storing = asyncio.create_task(sink.apply_batch(batch))
    other = await asyncpg.connect(database_url)
    try:

        async def waits() -> bool:
            return bool(await other.fetchval("select exists (select from pg_locks where not granted)"))

        await eventually(waits)
        epoch = await other.fetchval("select epoch from known_epoch for share nowait")
    finally:
        await other.close()
        await transaction.rollback()

    assert (epoch, await storing) == (0, Applied(0))
