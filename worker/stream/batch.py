"""A batch of records on its way to the database: what they say, and which offsets they cover. Pure."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from aiokafka import TopicPartition

from events.kinds import Kind
from worker.decode import decode
from worker.stream.outcome import Occurrence, Outcome, Record, Rejected
from worker.stream.sink import Applied, OffsetsMoved, Span

Offsets = Mapping[TopicPartition, int | None]


@dataclass(slots=True)
class Batch:
    """Records of some partitions, in order, each with what it says.

    The agent settles it: `settled` gets the store's outcome, or the error that the intake decides about.
    """

    entries: list[tuple[Record, Outcome]]
    spans: dict[TopicPartition, Span]
    dead_letters_written: bool = False
    # Both set when it is handed over:
    lane: int = field(init=False, compare=False)  # whose connection writes it
    settled: asyncio.Future[Applied | OffsetsMoved] = field(init=False, compare=False)

    @classmethod
    def of(cls, entries: list[tuple[Record, Outcome]], expected: Offsets) -> Self:
        """A batch of these entries, which follow on the offsets `expected`."""
        last = {(record.topic, record.partition): record.offset for record, _ in entries}
        return cls(entries, {TopicPartition(*tp): Span(expected[tp], last[tp] + 1) for tp in last})

    @property
    def occurrences(self) -> list[Occurrence]:
        return [outcome for _, outcome in self.entries if isinstance(outcome, Occurrence)]

    @property
    def rejected(self) -> list[Rejected]:
        return [outcome for _, outcome in self.entries if isinstance(outcome, Rejected)]

    @property
    def where(self) -> str:
        """The offsets it covers, for a line that somebody reads."""
        spans = sorted(self.spans.items())
        return ", ".join(f"{tp.topic}[{tp.partition}] offsets {s.expected or 0}-{s.next - 1}" for tp, s in spans)

    def again(self) -> "Batch":
        """The same, not settled yet."""
        return Batch(self.entries, self.spans, self.dead_letters_written)

    def without(self, partitions: Collection[TopicPartition]) -> "Batch":
        """What is left when other workers own these partitions."""
        entries = [e for e in self.entries if TopicPartition(e[0].topic, e[0].partition) not in partitions]
        spans = {tp: span for tp, span in self.spans.items() if tp not in partitions}
        return Batch(entries, spans, self.dead_letters_written)

    def bisected(self, reason: str) -> list["Batch"]:
        """Two halves to try one after the other; of a single record, that record rejected with the reason."""
        if len(self.entries) == 1:
            record = self.entries[0][0]
            return [Batch([(record, Rejected(record, reason, Kind.REFUSED))], self.spans)]
        middle = len(self.entries) // 2
        start = {tp: span.expected for tp, span in self.spans.items()}
        first = Batch.of(self.entries[:middle], start)
        second = Batch.of(self.entries[middle:], start | {tp: span.next for tp, span in first.spans.items()})
        first.dead_letters_written = second.dead_letters_written = self.dead_letters_written
        return [first, second]


def gather(fetched: Mapping[TopicPartition, Iterable[Record]], expected: Offsets) -> Batch:
    """Decodes what was fetched of the partitions whose next offset is known.

    What lies before that offset was applied already (a fetch from before a seek).
    """
    entries = [
        (record, decode(record))
        for tp, records in fetched.items()
        if tp in expected
        for record in records
        if record.offset >= (expected[tp] or 0)
    ]
    return Batch.of(entries, expected)


def skipped_over(positions: Mapping[TopicPartition, int], expected: Offsets) -> Batch:
    """A batch without records, over offsets that are never handed out: a transaction's markers, aborted records."""
    spans = {tp: Span(known, positions[tp]) for tp, known in expected.items() if tp in positions and known is not None}
    return Batch([], {tp: span for tp, span in spans.items() if span.next > (span.expected or 0)})
