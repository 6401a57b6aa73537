"""Publishes what owners say of their courses, for callers who wait, and reads what became of it."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import asyncpg

from events import CourseCatalogPublisher, PublishFailed
from events.catalog import CatalogEvent, CourseDeleted, CoursePublished, digest_version
from events.publisher import Receipt
from worker.errors import DatabaseUnavailable, VersionKnown, WorkersTooOld
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain
from worker.kafka.outage_gate import OutageGate
from worker.learners.current_topic import CurrentTopic
from worker.postgres.connection import query, with_time_limit
from worker.postgres.pool import connect_pool
from worker.settings import Settings

LONGEST_S = 5.0
PUBLISH_WITHIN_S = 5.0
POLL_EVERY_S, SLOWEST_POLL_S = 0.02, 0.2
GONE_AFTER_S = 10.0  # a worker that has not written its row for so long


@dataclass(frozen=True, slots=True)
class Published:
    """Names an event that Kafka has stored durably. `applied` says whether a worker has stored it too."""

    event_id: str
    applied: bool


@dataclass(frozen=True, slots=True)
class RecountState:
    """Describes how far the progress rows of a course are recounted for a version, in exact numbers of rows."""

    version: int
    started_at: datetime
    finished_at: datetime | None  # None: it is under way
    rows_seen: int
    rows: int
    completed: int
    revoked: int


@dataclass(frozen=True, slots=True)
class CourseState:
    """Describes a course by its newest version; version 0: it has none."""

    as_of: datetime
    version: int
    published_at: datetime | None
    content: CoursePublished | None
    deleted_at: datetime | None  # None: it is offered
    recount: RecountState | None


class CatalogService:
    """Publishes versions and deletions of courses, and reads courses. An async context manager.

    A call that publishes returns when Kafka has the event durably, and waits up to PROGRESS_APPLY_DEADLINE_S until a
    worker has stored it. Repeating a call is safe. Raises DatabaseUnavailable, KafkaUnavailable, or SetupError where a
    server refuses these credentials.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = with_time_limit(settings, LONGEST_S)
        self._publisher: CourseCatalogPublisher | None = None
        self._connecting = asyncio.Lock()
        self._kafka = OutageGate()
        self._topic = CurrentTopic(settings.course_catalog_topic)

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(self._settings, max_size=3)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._publisher is not None:
            await self._publisher.__aexit__(*exc_info)
        await self._pool.close()

    async def read_course(self, course_id: UUID) -> CourseState:
        """Reads what is stored of a course. Raises DatabaseUnavailable."""
        [row] = await self._fetch("courses/course_state", course_id)
        return _build_state(row)

    async def publish_version(self, version: CoursePublished) -> Published:
        """Publishes a version; the same one again has the same id, and changes nothing.

        Raises VersionKnown where the version is known with another content, also where another call was faster, and
        WorkersTooOld, which publishes nothing.
        """
        await self.require_unknown_or_same(version)
        await self.require_new_workers()
        published = await self._publish(version)
        if published.applied:
            await self.require_unknown_or_same(version)
        return published

    async def delete_course(self, course_id: UUID) -> Published:
        """Publishes that a course is offered no longer."""
        return await self._publish(CourseDeleted(course_id=course_id))

    async def require_unknown_or_same(self, version: CoursePublished) -> None:
        """Raises VersionKnown where the version is stored with another content."""
        for row in await self._fetch("courses/version_digest", version.course_id, version.version):
            if row["digest"] != digest_version(version):
                raise VersionKnown(f"version {version.version} is known with another content: publish a higher one")

    async def require_new_workers(self) -> None:
        """Raises WorkersTooOld while a worker runs that does not know versions."""
        rows = await self._fetch("courses/old_workers", self._settings.consumer_group, GONE_AFTER_S)
        refuse_old_workers(rows)

    async def _publish(self, event: CatalogEvent) -> Published:
        with self._kafka.attempt():
            try:
                publisher = await self._connect_publisher()
                receipt = await publisher.publish(event)
            except PublishFailed as error:
                raise explain("the event is not published", error) from error
        return Published(receipt.event_id, await self._wait_until_applied(receipt))

    async def _connect_publisher(self) -> CourseCatalogPublisher:
        """Returns the publisher. Connects it at the first call, because an API that only reads needs no Kafka."""
        async with self._connecting:
            if self._publisher is None:
                publisher = CourseCatalogPublisher(
                    **client_arguments(self._settings),
                    topic=self._settings.course_catalog_topic,
                    source="http-api",
                    timeout_s=PUBLISH_WITHIN_S,
                )
                self._publisher = await publisher.__aenter__()
            return self._publisher

    async def _wait_until_applied(self, receipt: Receipt) -> bool:
        """Tells whether the stored offset passed the event within the deadline; False also without PostgreSQL."""
        try:
            async with asyncio.timeout(self._settings.apply_deadline_s):
                poll_s = POLL_EVERY_S
                while not await self._is_applied(receipt):
                    await asyncio.sleep(poll_s)
                    poll_s = min(SLOWEST_POLL_S, poll_s * 1.3)
        except (TimeoutError, DatabaseUnavailable):
            return False
        return True

    async def _is_applied(self, receipt: Receipt) -> bool:
        topic_id = await self._topic.read_id(self._publisher and self._publisher.client)
        place = (self._settings.catalog_group, receipt.topic, receipt.partition, receipt.offset)
        [row] = await self._fetch("learners/offset_passed", *place, topic_id)
        return bool(row["passed"])

    async def _fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self._pool.fetch(query(name), *arguments)


def refuse_old_workers(old: Iterable[asyncpg.Record]) -> None:
    """Raises WorkersTooOld if there is a row of `old_workers.sql`."""
    if names := ", ".join(row["worker"] for row in old):
        raise WorkersTooOld(
            f"these workers are too old to know versions of courses: {names}. Stop or upgrade them first"
        )


def _build_state(row: asyncpg.Record) -> CourseState:
    content = row["content"] and CoursePublished.model_validate(json.loads(row["content"]))
    recount = row["recounted_version"] and RecountState(
        row["recounted_version"],
        *(row[name] for name in ("started_at", "finished_at", "rows_seen", "rows", "completed", "revoked")),
    )
    return CourseState(row["as_of"], row["version"], row["published_at"], content, row["deleted_at"], recount)
