"""What an owner publishes is durable when the call returns, and a version keeps the content that came first."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from events.catalog import CatalogLesson, CoursePublished
from tests.databases import report_old_worker
from tests.processes import Workers
from tests.topics import records_in
from worker.courses.catalog_sink import store_version
from worker.courses.publishing import CatalogService
from worker.errors import KafkaUnavailable, VersionKnown, WorkersTooOld
from worker.settings import Settings

COURSE = uuid4()


def version(number: int, *lessons: str, course: UUID = COURSE) -> CoursePublished:
    named = tuple(CatalogLesson(lesson_id=lesson) for lesson in lessons)
    return CoursePublished(course_id=course, version=number, title="Knots", lessons=named)


@pytest.fixture
async def catalog(settings: Settings) -> AsyncIterator[CatalogService]:
    async with CatalogService(settings.model_copy(update={"apply_deadline_s": 30})) as catalog:
        yield catalog


async def test_a_version_is_applied_and_read_and_the_same_again_changes_nothing(
    catalog: CatalogService, workers: Workers
) -> None:
    workers.start()
    unknown = await catalog.read_course(COURSE)
    first = await catalog.publish_version(version(1, "a", "b"))
    read = await catalog.read_course(COURSE)
    again = await catalog.publish_version(version(1, "a", "b"))

    assert (unknown.version, unknown.content, unknown.deleted_at, unknown.recount) == (0, None, None, None)
    assert (first.applied, again) == (True, first)
    assert (read.version, read.content, read.deleted_at) == (1, version(1, "a", "b"), None)
    assert (read.recount.version, read.recount.rows) == (1, 0)
    assert read.as_of >= read.published_at


async def test_another_content_is_refused_before_it_is_published(
    catalog: CatalogService, connection: asyncpg.Connection, settings: Settings
) -> None:
    await store_version(connection, version(1, "a"), datetime.now(UTC))

    with pytest.raises(VersionKnown, match="publish a higher one"):
        await catalog.publish_version(version(1, "b"))

    assert await records_in(settings, settings.course_catalog_topic) == 0


async def test_of_two_contents_that_are_published_before_a_worker_stores_one_the_second_is_told(
    settings: Settings, catalog: CatalogService, workers: Workers
) -> None:
    async with CatalogService(settings.model_copy(update={"apply_deadline_s": 0.05})) as impatient:
        first = await impatient.publish_version(version(1, "a"))
    assert first.applied is False
    workers.start()

    with pytest.raises(VersionKnown):
        await catalog.publish_version(version(1, "b"))

    assert (await catalog.read_course(COURSE)).content == version(1, "a")


async def test_a_deleted_course_is_back_with_a_later_version(catalog: CatalogService, workers: Workers) -> None:
    workers.start()
    await catalog.publish_version(version(1, "a"))
    await catalog.delete_course(COURSE)
    deleted = await catalog.read_course(COURSE)
    await catalog.publish_version(version(2, "a"))
    back = await catalog.read_course(COURSE)

    assert (deleted.version, deleted.deleted_at is not None) == (1, True)
    assert (back.version, back.deleted_at) == (2, None)


async def test_a_recount_under_way_tells_how_many_rows_it_has_seen_of_how_many(
    catalog: CatalogService, connection: asyncpg.Connection
) -> None:
    await store_version(connection, version(1, "a"), datetime.now(UTC))
    await connection.execute("insert into course_recount (course_id, version, rows_seen) values ($1, 1, 2)", COURSE)
    for _ in range(3):
        await connection.execute(
            "insert into course_progress_all (user_id, course_id, reset_at) values ($1, $2, now())", uuid4(), COURSE
        )

    recount = (await catalog.read_course(COURSE)).recount

    assert (recount.rows_seen, recount.rows, recount.finished_at) == (2, 3, None)


async def test_nothing_is_published_while_a_worker_is_too_old(
    catalog: CatalogService, connection: asyncpg.Connection, settings: Settings
) -> None:
    await report_old_worker(connection, settings.consumer_group)

    with pytest.raises(WorkersTooOld, match="old-1"):
        await catalog.publish_version(version(1, "a"))

    assert await records_in(settings, settings.course_catalog_topic) == 0
    await connection.execute("update worker_status set seen_at = now() - interval '1 minute'")
    await catalog.require_new_workers()


async def test_kafka_that_is_away_is_told_and_reading_goes_on(settings: Settings) -> None:
    async with CatalogService(settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})) as catalog:
        with pytest.raises(KafkaUnavailable):
            await catalog.publish_version(version(1, "a"))
        assert (await catalog.read_course(COURSE)).version == 0
