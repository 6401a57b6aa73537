"""Keeps the stored offsets of one stream, in the table consumed_offset, for every sink."""

from collections.abc import Iterable
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition

from worker.postgres.connection import query
from worker.stream.sink import OffsetsMoved, Spans, StoredOffset


class StreamOffsets:
    """Reads and moves the stored offsets of one consumer group, over the caller's connection, in its transaction.

    Raises the driver's errors: the caller owns the connection and translates them (`translate_errors`).
    """

    def __init__(self, consumer_group: str) -> None:
        self._consumer_group = consumer_group

    async def stored_offsets(
        self, connection: asyncpg.Connection, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, StoredOffset | None]:
        """Returns the stored offset of each partition. None: nothing is stored."""
        rows = await connection.fetch(query("postgres/stored_offsets"), self._consumer_group)
        stored = {
            TopicPartition(row["topic"], row["partition"]): StoredOffset(row["next_offset"], row["leader_epoch"])
            for row in rows
        }
        return {tp: stored.get(tp) for tp in partitions}

    async def known_topic(self, connection: asyncpg.Connection, topic: str, topic_id: UUID) -> UUID:
        """Returns the id of the topic that the stored offsets count in.

        Where none is known, it is `topic_id` from now on.
        """
        known: UUID | None = await connection.fetchval(query("postgres/known_topic"), self._consumer_group, topic)
        if known is None:
            await connection.execute(query("postgres/know_topic"), self._consumer_group, topic, topic_id)
        return known or topic_id

    async def move(self, connection: asyncpg.Connection, spans: Spans) -> OffsetsMoved | None:
        """Moves the offsets of all spans, or of none.

        None: they are moved, and durable with the caller's transaction. OffsetsMoved: other transactions moved these
        partitions; nothing was written here, and the caller must roll back what it has written itself.
        """
        rows = await connection.fetch(
            query("postgres/move_offsets"),
            self._consumer_group,
            [tp.topic for tp in spans],
            [tp.partition for tp in spans],
            [span.expected for span in spans.values()],
            [span.next for span in spans.values()],
            [span.leader_epoch for span in spans.values()],
        )
        if not rows:
            return None
        return OffsetsMoved({TopicPartition(row["topic"], row["partition"]): row["found"] for row in rows})
