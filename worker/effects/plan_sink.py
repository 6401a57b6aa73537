"""Plans effects from batches of events: the Sink of every stream that `course-progress effects` reads."""

from collections.abc import Sequence

import asyncpg

from worker.postgres.stream_sink import TransactionSink
from worker.settings import Settings
from worker.stream.batch import Batch
from worker.stream.effect import Plan


class PlanSink(TransactionSink):
    """Writes what each plan makes of a batch, with the offsets, over one connection of its own: all or nothing."""

    def __init__(self, settings: Settings, group: str, plans: Sequence[Plan]) -> None:
        super().__init__(settings, group)
        self._plans = plans

    async def _write(self, connection: asyncpg.Connection, batch: Batch) -> int:
        return sum([await plan(connection, batch.occurrences) for plan in self._plans])
