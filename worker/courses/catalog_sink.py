"""Stores the versions of courses: a Sink of catalog events.

Progress rows are judged by a version as soon as it is stored (rules 8 to 11). A batch of lesson events that was folded
with older knowledge writes nothing, because it finds another epoch (docs/decisions/0029).
"""

import json
from datetime import datetime
from uuid import UUID

import asyncpg

from events.catalog import CourseDeleted, CoursePublished, digest_version
from worker.errors import ValueRefused
from worker.postgres.connection import query
from worker.postgres.stream_sink import TransactionSink
from worker.stream.batch import Batch


class CatalogSink(TransactionSink):
    """Writes batches of catalog events over one connection of its own, which it opens again after it was lost.

    It raises what a Sink raises: ValueRefused for a version that is known with another content.
    """

    async def _write(self, connection: asyncpg.Connection, batch: Batch) -> int:
        # Waits for dry runs and for a chunk of a recount before it holds up lesson events, and not meanwhile.
        await connection.execute("set local lock_timeout = '40s'")
        await connection.execute("lock table course_version in share row exclusive mode")
        courses = {occurrence.event.course_id for occurrence in batch.occurrences}
        await connection.execute(
            "select from course_recount where course_id = any($1) order by course_id for update", sorted(courses)
        )
        await connection.execute("set local lock_timeout to default")
        # Waits for the batches of lesson events under way, and they cannot overtake it, as they could a row's lock.
        await connection.execute("lock table known_epoch in exclusive mode")
        published: set[UUID] = set()
        for occurrence in batch.occurrences:
            match occurrence.event:
                case CoursePublished() as version:
                    if await store_version(connection, version, occurrence.occurred_at):
                        published.add(version.course_id)
                case CourseDeleted(course_id=course_id):
                    await _store_deletion(connection, course_id, occurrence.occurred_at)
        for course_id in sorted(published):
            await connection.execute(query("courses/close_replacements"), course_id)
            await connection.execute(query("courses/begin_recount"), course_id)
        if published:
            await connection.execute("update known_epoch set epoch = epoch + 1")
        return 0  # its course events come with the recount


async def store_version(connection: asyncpg.Connection, version: CoursePublished, published_at: datetime) -> bool:
    """Stores a version, and returns whether it is new. Raises ValueRefused for one that is known to be different."""
    found = await connection.fetchval(
        query("courses/publish_version"),
        version.course_id,
        version.version,
        published_at,
        version.policy,
        version.needed,
        version.title,
        json.dumps(version.model_dump(mode="json", exclude_defaults=True)),
        digest_version(version),
        [lesson.lesson_id for lesson in version.lessons],
        [lesson.required for lesson in version.lessons],
    )
    if found == "conflict":
        raise ValueRefused(
            f"version {version.version} of this course is known with another content: publish a higher version"
        )
    return bool(found == "new")


async def _store_deletion(connection: asyncpg.Connection, course_id: UUID, at: datetime) -> None:
    await connection.execute(
        "insert into course_deleted values ($1, $2) on conflict (course_id) do update "
        "set deleted_at = greatest(course_deleted.deleted_at, excluded.deleted_at)",
        course_id,
        at,
    )
