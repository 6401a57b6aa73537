"""Writes one folded batch in one statement: `apply.sql`, with `reset.sql` before it where the batch has resets.

`recover.sql` follows where the batch applies events again whose commits PostgreSQL has lost.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition

from worker.metrics import prometheus as metrics
from worker.postgres.connection import close, connect, query
from worker.postgres.failures import translate_errors
from worker.postgres.stream_offsets import StreamOffsets
from worker.progress.fold import CourseKey, FoldedBatch, fold
from worker.settings import Settings
from worker.stream.batch import Batch, Spans
from worker.stream.sink import Applied, OffsetsMoved, StoredOffset

T = TypeVar("T")
# Progress rows to announce once more, each with the partitions whose commits were lost.
Recovered: TypeAlias = Mapping[CourseKey, Collection[TopicPartition]]
LARGEST_MEMORY = 200_000  # announcements


class _RollBack(Exception):
    """Rolls back a reset whose batch was stale."""

    def __init__(self, outcome: OffsetsMoved) -> None:
        self.outcome = outcome


class Store:
    """Writes batches over one connection of its own, which it opens again after it was lost: a Sink of lesson events.

    It runs one statement at a time. Every method raises DatabaseUnavailable (repeat the call: nothing was written, or
    it was and the repetition finds the offsets moved), ValueRefused (the batch will always fail) or SetupError.
    """

    def __init__(self, settings: Settings, group: str | None = None) -> None:
        """`group` is the stream's, by default that of lesson events."""
        self._settings = settings
        self._group = group or settings.consumer_group
        self._offsets = StreamOffsets(self._group)
        self._connection: asyncpg.Connection | None = None
        # What was announced once more: the row, and the loss by its partition and `Span.number_gap`.
        self._recovered: set[tuple[CourseKey, TopicPartition, int]] = set()

    async def apply_batch(self, batch: Batch) -> Applied | OffsetsMoved:
        """Folds a batch of lesson events and applies it. Durable when it returns Applied."""
        with metrics.stage("fold"):
            folded = fold(batch.occurrences)
        recovered = self._find_rows_to_announce(batch)
        with metrics.stage("store"):
            result = await self.apply(folded, batch.spans, recovered)
        if isinstance(result, Applied):
            if len(self._recovered) > LARGEST_MEMORY:
                self._recovered.clear()  # some rows are announced again, under higher numbers
            self._recovered |= {(key, tp, batch.spans[tp].number_gap) for key, tps in recovered.items() for tp in tps}
        return result

    async def apply(
        self, folded: FoldedBatch, spans: Spans, recovered: Recovered | None = None
    ) -> Applied | OffsetsMoved:
        """Writes rows, offsets and outbox, all or nothing; durable when it returns Applied.

        `recovered` names the progress rows that are announced once more.
        """
        connection = await self._ensure_connected()
        with translate_errors(connection):
            if not folded.resets and not recovered:
                return await self._apply(connection, folded, spans)
            try:
                async with connection.transaction(isolation="repeatable_read"):
                    # Unlike apply.sql, the others need a plan made for the arrays at hand.
                    await connection.execute("set local plan_cache_mode = force_custom_plan")
                    announced = await connection.fetchval(query("progress/reset"), *_reset_columns(folded))
                    outcome = await self._apply(connection, folded, spans)
                    if isinstance(outcome, OffsetsMoved):
                        raise _RollBack(outcome)
                    columns = _recovered_columns(recovered or {}, spans)
                    announced += await connection.fetchval(query("progress/recover"), *columns)
            except _RollBack as rolled_back:
                return rolled_back.outcome
            return Applied(outcome.announced + announced)

    def _find_rows_to_announce(self, batch: Batch) -> Recovered:
        """Returns the rows to announce once more: once for each loss, when its first lost event is applied again."""
        if not any(span.number_gap for span in batch.spans.values()):  # then none of them: `LostCommits.split`
            return {}
        touched: dict[CourseKey, set[TopicPartition]] = {}
        for o in batch.occurrences:
            key, tp = (o.event.user_id, o.event.course_id), TopicPartition(o.topic, o.partition)
            if (key, tp, batch.spans[tp].number_gap) not in self._recovered:
                touched.setdefault(key, set()).add(tp)
        return dict(sorted(touched.items()))

    async def stored_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, StoredOffset | None]:
        """Reads the stored offset of each partition. None: nothing was stored."""
        connection = await self._ensure_connected()
        with translate_errors(connection):
            return await self._offsets.stored_offsets(connection, partitions)

    async def known_topic(self, topic: str, topic_id: UUID) -> UUID:
        """Returns the id of the topic that the stored offsets count in; stores `topic_id` where none is known."""
        connection = await self._ensure_connected()
        with translate_errors(connection):
            return await self._offsets.known_topic(connection, topic, topic_id)

    async def close(self) -> None:
        if self._connection is not None:
            await close(self._connection)

    async def _ensure_connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._settings,
                # apply.sql needs it. As the session's default it costs no round trip.
                default_transaction_isolation="repeatable read",
                # Planned once: apply.sql does not depend on what the planner guesses (docs/decisions/0017).
                plan_cache_mode="force_generic_plan",
                jit="off",
                enable_seqscan="off",
                random_page_cost="1.1",
            )
        return self._connection

    async def _apply(self, connection: asyncpg.Connection, folded: FoldedBatch, spans: Spans) -> Applied | OffsetsMoved:
        sources: dict[tuple[str, int], int] = {tp: number for number, tp in enumerate(spans, start=1)}
        row = await connection.fetchrow(
            query("progress/apply"),
            self._group,
            [tp.topic for tp in spans],
            [tp.partition for tp in spans],
            [span.expected for span in spans.values()],
            [span.next for span in spans.values()],
            [span.leader_epoch for span in spans.values()],
            *_course_columns(folded, sources),
            *_lesson_columns(folded),
        )
        assert row is not None  # an aggregate: always one row
        if row["won"]:
            return Applied(row["transitions"])
        return OffsetsMoved(
            {TopicPartition(topic, partition): found for topic, partition, found in row["found_elsewhere"]}
        )


def _columns(rows: list[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _course_columns(folded: FoldedBatch, sources: Mapping[tuple[str, int], int]) -> list[list[Any]]:
    rows = [
        (
            *key,
            sources[course.topic, course.partition],
            _omit_if_latest(course.started_at, course.last_accessed_at),
            course.last_accessed_at,
            *_split_pair(course.total, course.last_accessed_at),
            *_split_pair(course.last_lesson, course.last_accessed_at),
        )
        for key, course in folded.courses.items()
    ]
    return _columns(rows, 9)


def _split_pair(pair: tuple[datetime, T] | None, latest: datetime) -> tuple[T | None, datetime | None]:
    return (pair[1], _omit_if_latest(pair[0], latest)) if pair else (None, None)


def _omit_if_latest(at: datetime | None, latest: datetime | None) -> datetime | None:
    """Leaves out the row's latest time, because most rows have one event and asyncpg takes 0.7 µs to encode a time."""
    return None if at == latest else at


def _lesson_columns(folded: FoldedBatch) -> list[list[Any]]:
    rows = [
        (
            number,
            lesson_id,
            _omit_if_latest(lesson.first_completed_at, lesson.last_completed_at),
            lesson.last_completed_at,
            lesson.uncompleted_at,
        )
        for number, course in enumerate(folded.courses.values(), start=1)
        for lesson_id, lesson in ((name, course.lessons[name]) for name in sorted(course.lessons))
    ]
    return _columns(rows, 5)


def _reset_columns(folded: FoldedBatch) -> list[list[Any]]:
    rows = [(*key, reset.reset_at, reset.topic, reset.partition) for key, reset in folded.resets.items()]
    return _columns(rows, 5)


def _recovered_columns(recovered: Recovered, spans: Spans) -> list[list[Any]]:
    rows = [(*key, sum(spans[tp].number_gap for tp in tps), *min(tps)) for key, tps in recovered.items()]
    return _columns(rows, 5)
