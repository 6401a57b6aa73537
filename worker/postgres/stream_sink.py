"""Holds what sinks have in common: a connection of their own, with the stored offsets of their stream."""

from collections.abc import Iterable
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition

from worker.postgres.connection import close, connect
from worker.postgres.failures import translate_errors
from worker.postgres.stream_offsets import StreamOffsets
from worker.settings import Settings
from worker.stream.batch import Batch
from worker.stream.sink import Applied, OffsetsMoved, StoredOffset


class StreamConnection:
    """Keeps the offsets of a stream as a Sink does, over a connection that it opens again after it was lost."""

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings = settings
        self._offsets = StreamOffsets(group)
        self._connection: asyncpg.Connection | None = None

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
        """Closes the connection, also when the server does not answer."""
        if self._connection is not None:
            await close(self._connection)

    async def _ensure_connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> asyncpg.Connection:
        return await connect(self._settings)


class TransactionSink(StreamConnection):
    """Applies each batch in one transaction, which moves the offsets first. `_write` says what else is written."""

    async def apply_batch(self, batch: Batch) -> Applied | OffsetsMoved:
        """Writes what the batch says and moves the stored offsets, all or nothing; durable when it returns Applied."""
        connection = await self._ensure_connected()
        announced = 0
        with translate_errors(connection):
            transaction = connection.transaction()
            await transaction.start()
            try:
                moved = await self._offsets.move(connection, batch.spans)
                if moved is None and batch.entries:
                    announced = await self._write(connection, batch)
            except BaseException:
                await transaction.rollback()
                raise
            await (transaction.rollback() if moved else transaction.commit())
        return moved or Applied(announced)

    async def _write(self, connection: asyncpg.Connection, batch: Batch) -> int:
        """Writes what a batch with records says; returns how much of it others are to be nudged for."""
        raise NotImplementedError
