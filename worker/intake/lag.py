"""Tracks how far this worker lags, per partition. Pure: observations come with their time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from worker.stream.batch import Batch, Span
from worker.stream.outcome import EARLIEST_STAMP


@dataclass(slots=True)
class _Partition:
    applied: int  # every record before it is in the rows
    in_hand: list[tuple[int, float]] = field(default_factory=list)  # offset and time of batches' first records
    end: int | None = None
    mark: tuple[int, float] | None = None  # an end of the log that is not applied yet, and when it was seen

    def move(self, applied: int) -> None:
        self.applied = max(self.applied, applied)
        self.in_hand = [(offset, at) for offset, at in self.in_hand if offset >= self.applied]

    def see(self, end: int, now: float) -> None:
        self.end = end
        if self.mark is None or self.mark[0] <= self.applied:
            self.mark = (end, now) if end > self.applied else None

    def seconds(self, now: float) -> float:
        known = [at for _, at in self.in_hand[:1]]
        if self.mark is not None and self.mark[0] > self.applied:
            known.append(self.mark[1])
        return max(0.0, now - min(known, default=now))


class Lag:
    """Tracks how far each partition lags, in records and in seconds, behind the end of its log."""

    def __init__(self) -> None:
        self._partitions: dict[TopicPartition, _Partition] = {}

    def go_on(self, tp: TopicPartition, applied: int) -> None:
        """Notes that this worker reads the partition from `applied` on."""
        self._partitions[tp] = _Partition(applied)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        for tp in partitions:
            self._partitions.pop(tp, None)

    def note_taken(self, batch: Batch) -> None:
        """Notes that the batch was fetched."""
        previous = None
        for record, _ in batch.entries:  # each partition's stand together
            if record.partition == previous:
                continue
            previous = record.partition
            partition = self._partitions.get(TopicPartition(record.topic, record.partition))
            if partition is not None and record.timestamp >= EARLIEST_STAMP:
                partition.in_hand.append((record.offset, record.timestamp / 1000))

    def note_applied(self, spans: Mapping[TopicPartition, Span]) -> None:
        """Notes that these offsets are applied."""
        for tp, span in spans.items():
            if tp in self._partitions:
                self._partitions[tp].move(span.next)

    def note_ends(self, ends: Mapping[TopicPartition, int], now: float) -> None:
        """Notes where the logs end."""
        for tp, end in ends.items():
            if tp in self._partitions:
                self._partitions[tp].see(end, now)

    def read_positions(self) -> dict[TopicPartition, tuple[int, int]]:
        """Returns what is applied and where the log ends, of each partition whose end is known."""
        return {tp: (p.applied, max(p.applied, p.end)) for tp, p in self._partitions.items() if p.end is not None}

    def measure(self, now: float) -> dict[TopicPartition, tuple[int, float]]:
        """Returns records and seconds of each partition whose end is known."""
        return {
            tp: (max(0, p.end - p.applied), p.seconds(now)) for tp, p in self._partitions.items() if p.end is not None
        }
