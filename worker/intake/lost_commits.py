"""Notices that PostgreSQL has lost commits: a failover or a restored backup takes stored offsets back. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from aiokafka import TopicPartition

from worker.stream.batch import Batch, Spans
from worker.stream.outcome import Outcome, Record


@dataclass(frozen=True, slots=True)
class Loss:
    """Says which offsets of a partition were stored and are not any more."""

    until: int
    lost: int  # how many of them are applied again
    number_gap: int  # how much higher the numbers of lost course events can be than the stored ones


class LostCommits:
    """Keeps how far each partition of a lane was stored, and what of it is lost and not applied again yet."""

    def __init__(self) -> None:
        self._stored: dict[TopicPartition, int] = {}  # the most that this worker has seen stored
        self._handed: dict[TopicPartition, int] = {}  # the most that it handed over: perhaps stored, without an answer
        self._losses: dict[TopicPartition, Loss] = {}
        # How far announcements have raised numbers. The next loss may take those back, or may not.
        self._raised: dict[TopicPartition, int] = {}

    def go_on(self, tp: TopicPartition, at: int, known: int, stored: int | None = None) -> Loss | None:
        """Notes that the partition is read from `at` on. Returns the loss, unless it is known already.

        `known` is an offset that was stored once, because a worker committed it to Kafka afterwards. `stored` is the
        stored offset, where records behind it were deleted; by default `at`.
        """
        was_stored = self._stored[tp] = max(at, known, self._stored.get(tp, 0))
        before = self._losses.pop(tp, None)
        if was_stored == at:
            return None
        until = max(was_stored, self._handed.get(tp, 0))
        number_gap = until - (at if stored is None else stored) + self._raised.get(tp, 0)
        self._raised[tp] = number_gap + 1
        self._losses[tp] = loss = Loss(until, until - at, number_gap)
        return None if before and before.until == loss.until and before.lost >= loss.lost else loss

    def hand_over(self, spans: Spans) -> None:
        """Notes that these offsets are about to be stored."""
        self._handed.update({tp: span.next for tp, span in spans.items()})

    def go_back(self, tp: TopicPartition, to: int) -> None:
        """Notes that the partition's log went back: what was stored beyond `to` is not lost by PostgreSQL."""
        self._stored[tp] = self._handed[tp] = to

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        for tp in partitions:
            self._stored.pop(tp, None)
            self._handed.pop(tp, None)
            self._losses.pop(tp, None)

    def move_on(self, spans: Spans) -> None:
        """Notes that these offsets are stored."""
        for tp, span in spans.items():
            self._stored[tp] = max(self._stored.get(tp, 0), span.next)
            if tp in self._losses and span.next >= self._losses[tp].until:
                del self._losses[tp]

    def is_behind(self, tp: TopicPartition) -> bool:
        """Says whether lost offsets of the partition are not applied again yet."""
        return tp in self._losses

    def copy_offsets(self) -> dict[TopicPartition, int]:
        """Returns up to where each partition is stored, as far as this worker knows."""
        return self._stored.copy()

    def split(self, batch: Batch) -> list[Batch]:
        """Returns the part of a batch that is applied again, with spans that say so, before the rest of it."""
        if self._losses.keys().isdisjoint(batch.spans):
            return [batch]
        start = {tp: span.expected for tp, span in batch.spans.items()}
        again = batch.part([entry for entry in batch.entries if self._is_applied_again(entry)], start)
        rest = batch.part(
            [entry for entry in batch.entries if not self._is_applied_again(entry)],
            start | {tp: span.next for tp, span in again.spans.items()},
        )
        again.spans = {tp: replace(span, number_gap=self._losses[tp].number_gap) for tp, span in again.spans.items()}
        without_records = batch.spans.keys() - again.spans.keys() - rest.spans.keys()
        rest.spans |= {tp: batch.spans[tp] for tp in without_records}
        return [part for part in (again, rest) if part.spans]

    def _is_applied_again(self, entry: tuple[Record, Outcome]) -> bool:
        record, _ = entry
        loss = self._losses.get(TopicPartition(record.topic, record.partition))
        return loss is not None and record.offset < loss.until
