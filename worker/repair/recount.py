"""Recounts progress rows from their lesson rows, and repairs those that differ: for damage that no worker did.

`recount.sql` checks of each progress row:

- `lessons_completed` is the number of its completed lesson rows. In a course with versions, what the row says of
  lessons, total, version and completion is what the rules make of the lesson rows and the versions.
- `completed_at` is set exactly if the course is complete. It lies after the reset and not after the last access; in a
  row that was never reset, it is not before the start. `completion_number` is then at least 1.
- `last_accessed_at` is not before the latest of its lesson rows.
- `started_at` is not after `last_accessed_at`; in a row that was never reset, it is not after the earliest lesson row.
- No lesson row lies before the reset.

`lessons_without_row.sql` checks that every lesson row has a progress row.

Lesson rows do not tell, so this cannot check: the total, the last lesson, a date within these bounds (docs/rules.md:
some depend on the order of arrival), a completion number above 0, and whether Kafka has the course events that were
announced. For those, `course-progress rewind --to earliest` makes the workers read all events again.
"""

import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka.partitioner import DefaultPartitioner

from worker.postgres.connection import connect, query
from worker.postgres.failures import translate_errors
from worker.settings import Settings

CHUNK = 5_000
LESSON_CHUNK = 50_000
SAY_EVERY_S = 2.0
RECOUNTED = (
    "lessons_completed",
    "last_accessed_at",
    "started_at",
    "completed_at",
    "completion_number",
    "total_lessons",
    "course_version",
    "lessons_waived",
    "judged_by",
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Says which progress rows to recount: those that meet both conditions, all without any."""

    course_id: UUID | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """Describes how a progress row differs from what its lesson rows say."""

    id: int | None  # None: there are lesson rows without a progress row
    user_id: UUID
    course_id: UUID
    found: dict[str, Any]  # the columns that differ, with the stored values
    recounted: dict[str, Any]  # the same columns, with the values that they must have
    lessons_before_reset: int = 0  # lesson rows to be deleted
    announce: str | None = None  # the type of the course event that the repair sends
    repaired: bool = False


async def connect_to_recount(settings: Settings) -> asyncpg.Connection:
    """Connects with settings under which every statement here finds lesson rows by index, in small tables too."""
    return await connect(settings, plan_cache_mode="force_custom_plan", enable_seqscan="off", jit="off")


class Verify:
    """Reads the tables once, in chunks. Workers may run, because each statement sees one snapshot.

    Raises DatabaseUnavailable; the caller begins again then.
    """

    def __init__(self, connection: asyncpg.Connection, scope: Scope, say: Callable[[str], None]) -> None:
        self._connection = connection
        self._scope = scope
        self._say = say
        self._said = time.monotonic()
        self.rows = 0  # progress rows passed so far

    async def differences(self) -> AsyncGenerator[Difference, None]:
        """Yields each difference when it is found.

        With `since`, it does not look for lesson rows without a progress row, because they have no time of writing.
        """
        async for difference in self._recount():
            yield difference
        if self._scope.since is None:
            async for difference in self._lessons_without_row():
                yield difference

    async def _recount(self) -> AsyncGenerator[Difference, None]:
        after = 0
        while True:
            with translate_errors(self._connection):
                chunk = await self._connection.fetchrow(query("repair/progress_chunk"), after, CHUNK)
                if chunk is None:
                    return
                last, rows = chunk
                found = await self._connection.fetch(
                    query("repair/recount"), after, last, self._scope.course_id, self._scope.since
                )
            for row in found:
                yield _build_difference(row)
            after = last
            self.rows += rows
            self._report(f"{self.rows:,} progress rows recounted")

    async def _lessons_without_row(self) -> AsyncGenerator[Difference, None]:
        after: tuple[UUID | None, UUID | None] = (None, None)
        while True:
            with translate_errors(self._connection):
                last = await self._connection.fetchrow(query("repair/lesson_chunk"), *after, LESSON_CHUNK)
                if last is None:
                    return
                found = await self._connection.fetch(
                    query("repair/lessons_without_row"), *after, *last, self._scope.course_id
                )
            for user_id, course_id in found:
                yield Difference(None, user_id, course_id, {}, {})
            after = tuple(last)
            self._report(f"lesson rows checked up to user {last['user_id']}")

    def _report(self, progress: str) -> None:
        if time.monotonic() - self._said > SAY_EVERY_S:
            self._said = time.monotonic()
            self._say(progress)


def _build_difference(row: asyncpg.Record) -> Difference:
    differing = [name for name in RECOUNTED if row[name] != row[f"found_{name}"]]
    return Difference(
        row["id"],
        row["user_id"],
        row["course_id"],
        {name: row[f"found_{name}"] for name in differing},
        {name: row[name] for name in differing},
        row["lessons_before_reset"],
        row["announce"],
    )


@dataclass(frozen=True)
class Repair:
    """Repairs differences, each in a transaction of its own (docs/decisions/0012)."""

    connection: asyncpg.Connection
    topic: str  # lesson events and its partitions decide which worker's relay publishes a course event
    partitions: list[int]
    milestones: bool = True  # whether those that a repaired row reaches are announced

    async def __call__(self, difference: Difference) -> Difference | None:
        """Repairs a difference, and returns what it repaired, durably; None if a worker had put it right meanwhile.

        It waits for a worker that is writing the row; a worker that writes the row meanwhile repeats its batch. It
        locks lesson rows before the progress row, in the order in which workers lock them.
        """
        with translate_errors(self.connection):
            async with self.connection.transaction():
                id = difference.id or await self._insert(difference)
                forgotten = int((await self.connection.execute(query("repair/forget_before_reset"), id)).split()[-1])
                await self.connection.execute("select from course_progress_all where id = $1 for update", id)
                row = id and await self.connection.fetchrow(query("repair/recount"), id - 1, id, None, None)
                if row:
                    await self._write(row)
        if not row:
            return replace(difference, lessons_before_reset=forgotten, repaired=True) if forgotten else None
        return replace(_build_difference(row), id=difference.id, lessons_before_reset=forgotten, repaired=True)

    async def _insert(self, difference: Difference) -> int | None:
        id: int | None = await self.connection.fetchval(
            "insert into course_progress_all (user_id, course_id) values ($1, $2) on conflict do nothing returning id",
            difference.user_id,
            difference.course_id,
        )
        return id

    async def _write(self, row: asyncpg.Record) -> None:
        partition = DefaultPartitioner()(str(row["user_id"]).encode(), self.partitions, [])
        wanted = [row[name] for name in RECOUNTED]
        await self.connection.execute(
            query("repair/repair"), row["id"], *wanted, row["announce"], self.topic, partition, self.milestones
        )
