"""Plans effects from batches of events: the Sink of every stream that `course-progress effects` reads."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition

from worker.postgres.connection import close, connect
from worker.postgres.failures import translate_errors
from worker.postgres.stream_offsets import StreamOffsets
from worker.settings import Settings
from worker.stream.batch import Batch
from worker.stream.effect import Plan
from worker.stream.sink import Applied, OffsetsMoved, StoredOffset


class PlanSink:
    """Writes what each plan makes of a batch, with the offsets, over one connection of its own: all or nothing."""

    def __init__(self, settings: Settings, group: str, plans: Sequence[Plan]) -> None:
        self._settings = settings
        self._offsets = StreamOffsets(group)
        self._plans = plans
        self._connection: asyncpg.Connection | None = None

    async def apply_batch(self, batch: Batch) -> Applied | OffsetsMoved:
        connection = await self._ensure_connected()
        planned = 0
        with translate_errors(connection):
            transaction = connection.transaction()
            await transaction.start()
            try:
                moved = await self._offsets.move(connection, batch.spans)
                if moved is None and batch.entries:
                    planned = sum([await plan(connection, batch.occurrences) for plan in self._plans])
            except BaseException:
                await transaction.rollback()
                raise
            await (transaction.rollback() if moved else transaction.commit())
        return moved or Applied(planned)

    async def stored_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, StoredOffset | None]:
        connection = await self._ensure_connected()
        with translate_errors(connection):
            return await self._offsets.stored_offsets(connection, partitions)

    async def known_topic(self, topic: str, topic_id: UUID) -> UUID:
        connection = await self._ensure_connected()
        with translate_errors(connection):
            return await self._offsets.known_topic(connection, topic, topic_id)

    async def close(self) -> None:
        if self._connection is not None:
            await close(self._connection)

    async def _ensure_connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._settings)
        return self._connection
