"""Applies lists of records for the peers with our decoding, rules and statement: all of ours except its delivery."""

from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import TopicPartition
from faust.types import EventT

from worker.decode import decode
from worker.progress.fold import fold
from worker.progress.store import Store
from worker.settings import Settings
from worker.stream.batch import Batch
from worker.stream.outcome import Record
from worker.stream.sink import OffsetsMoved


class Received(NamedTuple):
    """Holds a record as `decode` reads it, for a framework that has its own class of records."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    headers: Sequence[tuple[str, bytes]]
    value: bytes | None


class OurStatement:
    """Applies records in one statement. It drops records that a framework delivers again; those it skips are gone."""

    def __init__(self, settings: Settings) -> None:
        self._store = Store(settings)
        self._stored: dict[TopicPartition, int | None] = {}

    async def apply(self, records: Sequence[Record | Received]) -> None:
        """Applies the records, which are durable when it returns. Raises what the store raises."""
        if unknown := {(r.topic, r.partition) for r in records} - self._stored.keys():
            found = await self._store.stored_offsets(TopicPartition(*key) for key in unknown)
            self._stored |= {tp: offset and offset.next for tp, offset in found.items()}
        fresh = [r for r in records if r.offset >= (self._stored[r.topic, r.partition] or 0)]
        batch = Batch.of([(r, decode(r)) for r in fresh], self._stored)
        outcome = await self._store.apply(fold(batch.occurrences), batch.spans)
        if isinstance(outcome, OffsetsMoved):
            raise LookupError(f"another consumer moved the offsets to {outcome.found}")  # noqa: TRY004 -- an offset is wrong, not a type
        self._stored |= {tp: span.next for tp, span in batch.spans.items()}

    async def close(self) -> None:
        await self._store.close()


def of_faust(event: EventT) -> Received:
    """Converts Faust's event back into a record; Faust's timestamps are in seconds."""
    message = event.message
    timestamp_ms = round(message.timestamp * 1000)
    return Received(
        message.topic, message.partition, message.offset, timestamp_ms, message.headers or (), message.value
    )
