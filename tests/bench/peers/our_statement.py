"""Our decoding, rules and statement for the peers that hand over lists of records: all of ours but its delivery."""

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
    """A record as `decode` reads it, of a framework that has a class of its own for it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    headers: Sequence[tuple[str, bytes]]
    value: bytes | None


class OurStatement:
    """Applies records in one statement. What a framework delivers again is left out; what it skips is gone."""

    def __init__(self, settings: Settings) -> None:
        self._store = Store(settings)
        self._stored: dict[TopicPartition, int | None] = {}

    async def apply(self, records: Sequence[Record | Received]) -> None:
        """Durable when it returns. Raises what the store raises."""
        if unknown := {(r.topic, r.partition) for r in records} - self._stored.keys():
            self._stored |= await self._store.next_offsets(TopicPartition(*key) for key in unknown)
        fresh = [r for r in records if r.offset >= (self._stored[r.topic, r.partition] or 0)]
        batch = Batch.of([(r, decode(r)) for r in fresh], self._stored)
        outcome = await self._store.apply(fold(batch.occurrences), batch.spans)
        if isinstance(outcome, OffsetsMoved):
            raise LookupError(f"somebody else has {outcome.found}")  # noqa: TRY004 -- no wrong type, a wrong offset
        self._stored |= {tp: span.next for tp, span in batch.spans.items()}

    async def close(self) -> None:
        await self._store.close()


def of_faust(event: EventT) -> Received:
    """What Faust's event was received as; its timestamps are in seconds."""
    message = event.message
    timestamp_ms = round(message.timestamp * 1000)
    return Received(
        message.topic, message.partition, message.offset, timestamp_ms, message.headers or (), message.value
    )
