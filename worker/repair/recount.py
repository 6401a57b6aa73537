"""Recounts progress rows from their lesson rows, and repairs them: for damage that no worker did.

Checked of each progress row, by `recount.sql`:

- `lessons_completed` is the number of its completed lesson rows;
- it has a `completed_at` exactly when it is complete, which lies after its reset, not after its last access, and, of a
  row that was never reset, not before its start; and then its `completion_number` is at least 1;
- `last_accessed_at` is not before the latest of its lessons, `started_at` not after it, and, of a row that was never
  reset, not after the earliest;
- no lesson row lies before its reset.

And every lesson row has a progress row. Not checked, for lesson rows do not tell: the total, the last lesson, a date
that is within these bounds (docs/rules.md: some depend on the order of arrival), a completion number above 0, and
whether Kafka has what was announced. `course-progress rewind --to earliest` has the workers read all that again.
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
RECOUNTED = ("lessons_completed", "last_accessed_at", "started_at", "completed_at", "completion_number")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which progress rows: all, those of a course, those written since; both narrow it."""

    course_id: UUID | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A progress row that is not what its lesson rows say."""

    id: int | None  # None: there are lesson rows, and no progress row
    user_id: UUID
    course_id: UUID
    found: dict[str, Any]  # what differs, as it is
    recounted: dict[str, Any]  # and as it must be
    lessons_before_reset: int = 0
    announce: str | None = None  # the transition that it is to become what it must be
    repaired: bool = False


async def connected(settings: Settings) -> asyncpg.Connection:
    """A connection on which every statement here looks up lesson rows by index, however few rows there are."""
    return await connect(settings, plan_cache_mode="force_custom_plan", enable_seqscan="off", jit="off")


class Verify:
    """One pass over the tables, in chunks: each statement sees one snapshot, so workers may go on.

    Raises DatabaseUnavailable: begin again.
    """

    def __init__(self, connection: asyncpg.Connection, scope: Scope, say: Callable[[str], None]) -> None:
        self._connection = connection
        self._scope = scope
        self._say = say
        self._said = time.monotonic()
        self.rows = 0  # progress rows passed so far

    async def differences(self) -> AsyncGenerator[Difference, None]:
        """What differs, as it is found. With `since`, no lesson rows without a progress row: they have no such time."""
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
            self._report(f"lesson rows looked at up to user {last['user_id']}")

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
    """Repairs one difference after the other, each in a transaction of its own: docs/decisions/0012."""

    connection: asyncpg.Connection
    topic: str  # of lesson events, and its partitions: whose worker announces a transition
    partitions: list[int]

    async def __call__(self, difference: Difference) -> Difference | None:
        """What was repaired, durable when it returns; None: a worker had done it meanwhile.

        Waits for workers that are writing the row, and they repeat their batch. Lesson rows first and then the
        progress row: as workers lock them.
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
            query("repair/repair"), row["id"], *wanted, row["announce"], self.topic, partition
        )
