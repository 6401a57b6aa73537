"""Makes batches of records for a sink, each with the offsets that it covers. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from aiokafka import TopicPartition

from events.kinds import Kind
from worker.stream.outcome import Occurrence, Outcome, Record, Rejected

Offsets = Mapping[TopicPartition, int | None]


@dataclass(frozen=True, slots=True)
class Span:
    """Says which offsets of one partition a batch covers."""

    expected: int | None  # the stored offset that this worker last saw; None: nothing was stored
    next: int  # the stored offset once the batch is applied
    leader_epoch: int | None = None  # the log of this leader epoch, or a later one, had the records; None: not known
    # Where the batch applies again what PostgreSQL has lost: how much higher the numbers of lost course events can be
    # than the stored ones. A worker never uses a value twice for one partition.
    number_gap: int = 0


Spans = Mapping[TopicPartition, Span]


@dataclass(slots=True)
class Batch:
    """Holds records of some partitions, in order, each with its outcome."""

    entries: list[tuple[Record, Outcome]]
    spans: dict[TopicPartition, Span]
    dead_letters_written: bool = False  # so that a repetition does not write them again

    @classmethod
    def of(cls, entries: list[tuple[Record, Outcome]], expected: Offsets) -> Self:
        """Makes a batch of these entries, which follow on the offsets `expected`."""
        last = {(record.topic, record.partition): record.offset for record, _ in entries}
        return cls(entries, {TopicPartition(*tp): Span(expected[tp], last[tp] + 1) for tp in last})

    def part(self, entries: list[tuple[Record, Outcome]], expected: Offsets) -> "Batch":
        """Makes a batch of some of these entries, which follow on the offsets `expected`."""
        part = Batch.of(entries, expected)
        part.spans = {tp: replace(self.spans[tp], expected=s.expected, next=s.next) for tp, s in part.spans.items()}
        part.dead_letters_written = self.dead_letters_written
        return part

    @property
    def occurrences(self) -> list[Occurrence]:
        return [outcome for _, outcome in self.entries if isinstance(outcome, Occurrence)]

    @property
    def rejected(self) -> list[Rejected]:
        return [outcome for _, outcome in self.entries if isinstance(outcome, Rejected)]

    @property
    def where(self) -> str:
        """Formats the offsets that it covers, for an operator."""
        spans = sorted(self.spans.items())
        return ", ".join(f"{tp.topic}[{tp.partition}] offsets {s.expected or 0}-{s.next - 1}" for tp, s in spans)

    def without(self, partitions: Collection[TopicPartition]) -> "Batch":
        """Returns the rest, when other workers own these partitions."""
        entries = [e for e in self.entries if TopicPartition(e[0].topic, e[0].partition) not in partitions]
        spans = {tp: span for tp, span in self.spans.items() if tp not in partitions}
        return Batch(entries, spans, self.dead_letters_written)

    def bisect(self, reason: str) -> list["Batch"]:
        """Returns two halves to settle one after the other; a single record is rejected with the reason."""
        if len(self.entries) == 1:
            record = self.entries[0][0]
            return [Batch([(record, Rejected(record, reason, Kind.REFUSED))], self.spans)]
        middle = len(self.entries) // 2
        start = {tp: span.expected for tp, span in self.spans.items()}
        first = self.part(self.entries[:middle], start)
        second = self.part(self.entries[middle:], start | {tp: span.next for tp, span in first.spans.items()})
        return [first, second]


def gather(
    fetched: Mapping[TopicPartition, Iterable[Record]], expected: Offsets, decode: Callable[[Record], Outcome]
) -> Batch:
    """Decodes the records of the partitions whose next offset is known.

    Records before that offset are left out: they were fetched before a seek, and are applied already.
    """
    entries = [
        (record, decode(record))
        for tp, records in fetched.items()
        if tp in expected
        for record in records
        if record.offset >= (expected[tp] or 0)
    ]
    return Batch.of(entries, expected)


def skip_over(positions: Mapping[TopicPartition, int], expected: Offsets) -> dict[TopicPartition, Span]:
    """Returns the spans of offsets that Kafka never hands out: markers of transactions, and aborted records."""
    spans = {tp: Span(expected[tp], position) for tp, position in positions.items() if tp in expected}
    return {tp: span for tp, span in spans.items() if span.next > (span.expected or 0)}
