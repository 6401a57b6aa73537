"""What this worker has done of late: its rate, how busy it was, what it can do, and how soon events were visible. Pure:
times go in with what happened. Bounded: a minute, in seconds.

Prometheus's histograms know no "of late", and its client has no way to read one back.
"""

import math
from collections import Counter, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from statistics import median

from worker.stream.outcome import Outcome, Record, Rejected

MINUTE_S = 60
RATE_S = 10  # of the rate and of how busy it is
SAMPLED = 16  # records of a batch whose way is measured
# Latencies are kept by their logarithm: each step is 10 % more than the one before, from 1 ms on.
STEP = math.log(1.1)
SHORTEST_S = 0.001
LARGE = 500  # records: the fixed cost of a batch counts little in it
LARGE_KEPT = 21
LARGEST_BATCH = 2000


@dataclass(slots=True)
class _Second:
    events: int = 0
    busy_s: float = 0
    visible: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class ThroughputSummary:
    """A worker's last seconds."""

    events_per_s: float
    busy: float  # the share of the time that it worked, its database included: 0 to 1
    capacity_per_s: float | None  # events per second of work, in large batches; None: it has had none
    visible_p50_s: float | None  # from a record's timestamp to its commit, in the last minute; None: no events
    visible_p99_s: float | None
    dead_letters: int  # since it started


class Throughput:
    """Told of the stages of work as they begin and end, they may overlap, and of each batch when it is settled."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, _Second]] = deque(maxlen=MINUTE_S + 1)
        self._working = 0  # stages at present
        self._since = 0.0
        self._settled_at = float("-inf")  # the last batch
        self._since_settled_s = 0.0  # worked since then
        self._taken: set[Hashable] = set()  # the lanes that have a batch in work
        self._unsettled_s = 0.0  # worked for these
        self._large: deque[float] = deque(maxlen=LARGE_KEPT)
        self._dead_letters = 0

    def batch_taken(self, lane: Hashable) -> None:
        """The lane has a batch in work until it is settled, or takes another instead."""
        self._taken.add(lane)

    def stage_began(self, now: float) -> None:
        if not self._working:
            self._since = now
        self._working += 1

    def stage_ended(self, now: float) -> None:
        self._working -= 1
        if not self._working:
            self._worked(now)

    def batch_settled(
        self,
        lane: Hashable,
        entries: Sequence[tuple[Record, Outcome]],
        now: float,
        wall: float,
        batch_size: int = LARGEST_BATCH,
    ) -> None:
        """`now` is a monotonic time, `wall` the time of day, to which records' timestamps compare."""
        if self._working:
            self._worked(now)
        second = self._second(now)
        second.events += len(entries)
        each = max(1, len(entries) // SAMPLED)
        for record, _ in entries[::each]:
            if record.timestamp > 0:  # -1: it has none
                second.visible[_step(wall - record.timestamp / 1000)] += each
        self._dead_letters += sum(isinstance(outcome, Rejected) for _, outcome in entries)
        took_s = self._share(lane, now)
        if len(entries) >= min(LARGE, max(1, batch_size // 4)) and took_s:
            self._large.append(len(entries) / took_s)

    def summary(self, now: float) -> ThroughputSummary:
        if self._working:
            self._worked(now)
        minute = [second for at, second in self._seconds if at > int(now) - MINUTE_S]
        late = [second for at, second in self._seconds if int(now) - RATE_S <= at < int(now)]
        visible: Counter[int] = Counter()
        for second in minute:
            visible.update(second.visible)
        return ThroughputSummary(
            sum(second.events for second in late) / RATE_S,
            min(1.0, sum(second.busy_s for second in late) / RATE_S),
            median(self._large) if self._large else None,
            _quantile(visible, 0.5),
            _quantile(visible, 0.99),
            self._dead_letters,
        )

    def _share(self, lane: Hashable, now: float) -> float:
        """Of the time that was worked for the batches in work, what this one took.

        They share it: of two that are settled one just after the other, the second did not take that moment alone.
        """
        between_s = now - self._settled_at - self._since_settled_s
        # Under a backlog what lies between the stages, as fetching, takes time too: a quarter was seen.
        if between_s < self._since_settled_s:
            self._unsettled_s += between_s
        took_s = self._unsettled_s / len(self._taken | {lane})
        self._taken.discard(lane)
        self._unsettled_s = self._unsettled_s - took_s if self._taken else 0.0
        self._settled_at, self._since_settled_s = now, 0.0
        return took_s

    def _worked(self, now: float) -> None:
        """Until now, since it was last noted."""
        self._second(now).busy_s += now - self._since
        self._since_settled_s += now - self._since
        self._unsettled_s += now - self._since
        self._since = now

    def _second(self, now: float) -> _Second:
        if not self._seconds or self._seconds[-1][0] != int(now):
            self._seconds.append((int(now), _Second()))
        return self._seconds[-1][1]


def _step(seconds: float) -> int:
    return max(0, math.ceil(math.log(max(seconds, SHORTEST_S) / SHORTEST_S) / STEP))


def _quantile(steps: Counter[int], share: float) -> float | None:
    """The end of the step in which the quantile lies."""
    so_far = 0
    for step, number in sorted(steps.items()):
        so_far += number
        if so_far >= share * steps.total():
            return SHORTEST_S * math.exp(step * STEP)
    return None
