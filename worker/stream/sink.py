"""Defines the Sink that an intake's batches go to, and the Handover of a batch to an agent."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from aiokafka import TopicPartition

from worker.stream.batch import Batch, Span, Spans

__all__ = ["Applied", "Handover", "OffsetsMoved", "Sink", "Span", "Spans", "StoredOffset"]


class StoredOffset(NamedTuple):
    """Says that every record before `next` is applied, and was in the log of this leader epoch or a later one."""

    next: int
    leader_epoch: int | None = None  # None: not known


@dataclass(frozen=True, slots=True)
class Applied:
    """Says that the batch and its offsets are durable."""

    announced: int  # course events added to the outbox: of transitions, and of recovered rows


@dataclass(frozen=True, slots=True)
class OffsetsMoved:
    """Says that nothing was written: these partitions had been moved to the offsets given.

    Another worker moved them, or this one did and lost the answer of PostgreSQL.
    """

    found: dict[TopicPartition, int | None]


class Sink(Protocol):
    """Applies batches of one stream, each together with its offsets, over one connection of its own.

    A lane has a sink to itself, so a sink does one thing at a time. Every method raises Unavailable (repeat the call:
    nothing was written, or it was and the repetition finds the offsets moved) or SetupError.
    """

    async def apply_batch(self, batch: Batch) -> Applied | OffsetsMoved:
        """Writes what the batch says and moves the stored offsets by compare-and-swap, all or nothing.

        A span of a batch without records may move an offset back.

        Durable when it returns Applied. Raises ValueRefused for a batch that will always be refused.
        """

    async def stored_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, StoredOffset | None]:
        """Reads the stored offset of each partition. None: nothing was stored."""

    async def known_topic(self, topic: str, topic_id: UUID) -> UUID:
        """Returns the id of the topic that the stored offsets count in; stores `topic_id` where none is known."""

    async def close(self) -> None:
        """Closes the connection, also when the server does not answer."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Holds a batch for an agent, the sink that it goes to, and the future in which the lane gets the result."""

    batch: Batch
    sink: Sink
    settled: asyncio.Future[Applied | OffsetsMoved]

    def resolve(self, result: Applied | OffsetsMoved | Exception) -> None:
        """Gives the result, or the error, to the lane, unless the lane has stopped waiting."""
        if self.settled.done():
            return
        if isinstance(result, Exception):
            self.settled.set_exception(result)
        else:
            self.settled.set_result(result)
