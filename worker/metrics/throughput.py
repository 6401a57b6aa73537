"""Measures this worker over the last minute: rate, share of busy time, capacity, and how soon events were visible.

Pure: callers pass the times. Bounded: it keeps one minute, in seconds. Prometheus's histograms do not serve for this,
because they count since the start, and Prometheus's client cannot read them back.
"""

import math
from collections import Counter, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from statistics import median

from worker.stream.outcome import EARLIEST_STAMP, Outcome, Record, Rejected

MINUTE_S = 60
RATE_S = 10  # the span of the rate and of the busy time
SAMPLED = 16  # records of a batch whose latency is measured
# Latencies are kept by their logarithm: each step is 10 % more than the one before, from 1 ms on.
STEP = math.log(1.1)
SHORTEST_S = 0.001
LARGE = 500  # records, among which the fixed cost of a batch counts little
LARGE_KEPT = 21
NEARLY = 0.9


@dataclass(slots=True)
class _Second:
    events: int = 0
    busy_s: float = 0
    visible: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class ThroughputSummary:
    """Sums up a worker's last seconds."""

    events_per_s: float
    busy: float  # the share of the time in which it, or its database, worked: 0 to 1
    capacity_per_s: float | None  # events per second of work, in large batches; None: there was no large batch
    visible_p50_s: float | None  # from a record's timestamp to its commit, in the last minute; None: no events
    visible_p99_s: float | None
    dead_letters: int  # since the worker started


class Throughput:
    """Notes when stages of work begin and end, and when batches are settled. Stages may overlap."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, _Second]] = deque(maxlen=MINUTE_S + 1)
        self._working = 0  # stages that run now
        self._since = 0.0
        self._settled_at = float("-inf")  # when the last batch was settled
        self._since_settled_s = 0.0  # time worked since then
        self._taken: set[Hashable] = set()  # lanes with an unsettled batch
        self._unsettled_s = 0.0  # time worked for these batches
        self._large: deque[tuple[int, float]] = deque(maxlen=LARGE_KEPT)  # records, and how many a second
        self._dead_letters = 0

    def note_taken(self, lane: Hashable) -> None:
        """Notes that the lane has a batch. It counts until the lane settles it or takes another."""
        self._taken.add(lane)

    def note_begin(self, now: float) -> None:
        """Notes that a stage began at the monotonic time `now`."""
        if not self._working:
            self._since = now
        self._working += 1

    def note_end(self, now: float) -> None:
        """Notes that a stage ended at the monotonic time `now`."""
        self._working -= 1
        if not self._working:
            self._add_work(now)

    def note_settled(
        self,
        lane: Hashable,
        entries: Sequence[tuple[Record, Outcome]],
        now: float,
        wall: float,
        batch_size: int,
    ) -> None:
        """Notes a settled batch. `now` is a monotonic time, `wall` a Unix time, as records' timestamps are.

        A batch with less than a quarter of `batch_size` records, or than LARGE, says nothing about the capacity. Nor
        does one that is not NEARLY as large as another: an event in it takes longer, so many of them would hide what a
        worker does under a backlog.
        """
        if self._working:
            self._add_work(now)
        second = self._current_second(now)
        second.events += len(entries)
        each = max(1, len(entries) // SAMPLED)
        for record, _ in entries[::each]:
            if record.timestamp >= EARLIEST_STAMP:
                second.visible[_find_step(wall - record.timestamp / 1000)] += each
        self._dead_letters += sum(isinstance(outcome, Rejected) for _, outcome in entries)
        took_s = self._take_share(lane, now)
        if len(entries) >= min(LARGE, max(1, batch_size // 4)) and took_s:
            self._note_large(len(entries), len(entries) / took_s)

    def summary(self, now: float) -> ThroughputSummary:
        """Sums up the seconds before the monotonic time `now`."""
        if self._working:
            self._add_work(now)
        minute = [second for at, second in self._seconds if at > int(now) - MINUTE_S]
        last = [second for at, second in self._seconds if int(now) - RATE_S <= at < int(now)]
        visible: Counter[int] = Counter()
        for second in minute:
            visible.update(second.visible)
        return ThroughputSummary(
            sum(second.events for second in last) / RATE_S,
            min(1.0, sum(second.busy_s for second in last) / RATE_S),
            self._capacity(),
            _find_quantile(visible, 0.5),
            _find_quantile(visible, 0.99),
            self._dead_letters,
        )

    def _note_large(self, records: int, per_s: float) -> None:
        if records >= NEARLY * self._largest():
            self._large.append((records, per_s))

    def _largest(self) -> int:
        return max((records for records, _ in self._large), default=0)

    def _capacity(self) -> float | None:
        largest = self._largest()
        return median(per_s for records, per_s in self._large if records >= NEARLY * largest) if largest else None

    def _take_share(self, lane: Hashable, now: float) -> float:
        """Returns the lane's batch's share of the time worked for all unsettled batches.

        The batches share it, because the second of two that settle one just after the other took more than that moment.
        """
        between_s = now - self._settled_at - self._since_settled_s
        # Under a backlog the steps between the stages, such as fetching, take time too: up to a quarter.
        if between_s < self._since_settled_s:
            self._unsettled_s += between_s
        took_s = self._unsettled_s / len(self._taken | {lane})
        self._taken.discard(lane)
        self._unsettled_s = self._unsettled_s - took_s if self._taken else 0.0
        self._settled_at, self._since_settled_s = now, 0.0
        return took_s

    def _add_work(self, now: float) -> None:
        """Adds the time worked from the last note until `now`."""
        self._current_second(now).busy_s += now - self._since
        self._since_settled_s += now - self._since
        self._unsettled_s += now - self._since
        self._since = now

    def _current_second(self, now: float) -> _Second:
        if not self._seconds or self._seconds[-1][0] != int(now):
            self._seconds.append((int(now), _Second()))
        return self._seconds[-1][1]


def _find_step(seconds: float) -> int:
    return max(0, math.ceil(math.log(max(seconds, SHORTEST_S) / SHORTEST_S) / STEP))


def _find_quantile(steps: Counter[int], share: float) -> float | None:
    """Returns the upper end of the step in which the quantile lies, in seconds."""
    so_far = 0
    for step, number in sorted(steps.items()):
        so_far += number
        if so_far >= share * steps.total():
            return SHORTEST_S * math.exp(step * STEP)
    return None
