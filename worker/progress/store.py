"""Writes one folded batch in one statement: `apply.sql`, with `reset.sql` before it where the batch has resets.

`waive.sql` comes before it too, where the batch has waivers. `judge.sql` follows where versions of courses decide,
`recover.sql` where the batch applies events again whose commits PostgreSQL has lost.
"""

from dataclasses import dataclass
from typing import TypeAlias

import asyncpg
from aiokafka import TopicPartition

from worker.errors import DatabaseUnavailable
from worker.metrics import prometheus as metrics
from worker.postgres.connection import connect, fetch_one, query
from worker.postgres.failures import translate_errors
from worker.postgres.stream_sink import StreamConnection
from worker.progress.columns import (
    Columns,
    Recovered,
    build_columns,
    build_judged_columns,
    build_judged_reset_columns,
    build_recovered_columns,
    build_reset_columns,
    build_waiver_columns,
)
from worker.progress.fold import CourseKey, FoldedBatch, fold
from worker.progress.known_courses import Knowledge, KnownCourses
from worker.settings import Settings
from worker.stream.batch import Batch, Spans
from worker.stream.sink import Applied, OffsetsMoved

LARGEST_MEMORY = 200_000  # announcements
LEARN_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class EpochMoved:
    """Nothing was written, because a version of a course was published since the worker learnt of courses."""

    epoch: int


Result: TypeAlias = Applied | OffsetsMoved | EpochMoved


class _RollBack(Exception):
    """Rolls back a reset whose batch was stale."""

    def __init__(self, result: OffsetsMoved | EpochMoved) -> None:
        self.result = result


class Store(StreamConnection):
    """Writes batches over one connection of its own, which it opens again after it was lost: a Sink of lesson events.

    It runs one statement at a time. Every method raises DatabaseUnavailable (repeat the call: nothing was written, or
    it was and the repetition finds the offsets moved), ValueRefused (the batch will always fail) or SetupError.
    """

    def __init__(self, settings: Settings, group: str | None = None, known: KnownCourses | None = None) -> None:
        """`group` is the stream's, by default that of lesson events. Stores of a process may share what is `known`."""
        self._group = group or settings.consumer_group
        super().__init__(settings, self._group)
        self._known = known or KnownCourses()
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
            for _ in range(LEARN_ATTEMPTS):
                known = await self._known.learn(connection, folded)
                result = await self._write(connection, folded, spans, recovered or {}, known)
                if isinstance(result, Applied):
                    known.note_totals(folded)
                if not isinstance(result, EpochMoved):
                    return result
                self._known.forget(result.epoch)
        raise DatabaseUnavailable("courses are published faster than a batch can be written")

    async def _write(
        self, connection: asyncpg.Connection, folded: FoldedBatch, spans: Spans, recovered: Recovered, known: Knowledge
    ) -> Result:
        if not (folded.resets or folded.has_waivers or recovered or known.has_version):
            return _read_result(await self._apply(connection, folded, spans, known), known)
        try:
            async with connection.transaction(isolation="repeatable_read"):
                return Applied(await self._write_steps(connection, folded, spans, recovered, known))
        except _RollBack as rolled_back:
            return rolled_back.result

    async def _write_steps(
        self, connection: asyncpg.Connection, folded: FoldedBatch, spans: Spans, recovered: Recovered, known: Knowledge
    ) -> int:
        """Executes the statements of one transaction; returns how many course events they announce."""
        announced = 0
        if folded.resets or folded.has_waivers:
            # Workers that lock rows before they know the epoch would wait for one that publishes, and it for them.
            await connection.execute("select from known_epoch for share")
            await self._plan_for_arrays(connection)
        if folded.resets:
            resets = build_reset_columns(folded)
            announced += await connection.fetchval(query("progress/reset"), *resets, self._settings.milestones)
            announced += await self._judge(connection, build_judged_reset_columns(folded, known))
        if folded.has_waivers:
            await connection.execute(query("progress/waive"), *build_waiver_columns(folded))
        row = await self._apply(connection, folded, spans, known)
        result = _read_result(row, known)
        if not isinstance(result, Applied):
            raise _RollBack(result)
        announced += result.announced
        announced += await self._judge(connection, build_judged_columns(folded, row["to_judge"]))
        if recovered:
            await self._plan_for_arrays(connection)
            announced += await connection.fetchval(
                query("progress/recover"), *build_recovered_columns(recovered, spans)
            )
        return announced

    async def _judge(self, connection: asyncpg.Connection, rows: Columns) -> int:
        """Judges progress rows by the versions of their courses; returns how many course events that announces."""
        if not rows[0]:
            return 0
        await self._plan_for_arrays(connection)
        judged = await fetch_one(connection, "progress/judge", *rows, self._settings.milestones)
        return int(judged["announced"])

    async def _plan_for_arrays(self, connection: asyncpg.Connection) -> None:
        """Has the statements of this transaction planned for the arrays at hand, which apply.sql does not need."""
        await connection.execute("set local plan_cache_mode = force_custom_plan")

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

    async def _connect(self) -> asyncpg.Connection:
        self._known.forget(0)  # a database that was put back may come to the same epoch by other versions
        return await connect(
            self._settings,
            # apply.sql needs it. As the session's default it costs no round trip.
            default_transaction_isolation="repeatable read",
            # Planned once: apply.sql does not depend on what the planner guesses (docs/decisions/0017).
            plan_cache_mode="force_generic_plan",
            jit="off",
            enable_seqscan="off",
            random_page_cost="1.1",
        )

    async def _apply(
        self, connection: asyncpg.Connection, folded: FoldedBatch, spans: Spans, known: Knowledge
    ) -> asyncpg.Record:
        columns = build_columns(folded, spans, known)
        return await fetch_one(
            connection, "progress/apply", self._group, *columns, known.epoch, self._settings.milestones
        )


def _read_result(row: asyncpg.Record, known: Knowledge) -> Result:
    if row["won"]:
        return Applied(row["announced"])
    if row["epoch"] != known.epoch:
        return EpochMoved(row["epoch"])
    return OffsetsMoved({TopicPartition(topic, partition): found for topic, partition, found in row["found_elsewhere"]})
