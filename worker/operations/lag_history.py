"""Where the log ended and what was applied, over the last minutes: lag and rates, for charts. Pure."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

RATE_S = 10  # rates are those of about so many seconds
LONGEST_RATE_S = 60  # or, where samples are fewer, of at most so many


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at all partitions, by number. `applied` is where the log goes on for the workers."""

    at: datetime
    ends: Mapping[int, int]
    applied: Mapping[int, int]

    @property
    def lag(self) -> dict[int, int]:
        """The events of each partition that wait."""
        return {partition: max(0, end - self.applied[partition]) for partition, end in self.ends.items()}


@dataclass(frozen=True, slots=True)
class Rates:
    """Events per second of each partition: written to the log, and applied."""

    incoming: Mapping[int, float]
    applied: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Delay:
    """How many seconds ago the log ended where the workers are now: what was written since waits."""

    seconds: float
    longer: bool = False  # it may be more: nobody looked any earlier


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of a chart; the rates are those since the point before it."""

    at: datetime
    lag: Mapping[int, int]  # by partition
    incoming_per_s: float
    applied_per_s: float


class LagHistory:
    """The samples of the last `kept_s`. A time when one server was away is a gap."""

    def __init__(self, kept_s: float) -> None:
        self._kept_s = kept_s
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        while self._samples and self._samples[-1].at >= sample.at:  # the clock was set back
            self._samples.pop()
        self._samples.append(sample)
        while _seconds(self._samples[0], sample) > self._kept_s:
            self._samples.popleft()

    def rates(self) -> Rates | None:
        """Of the last RATE_S, or since the sample before; None where that is longer ago than LONGEST_RATE_S."""
        if len(self._samples) < 2:
            return None
        *earlier, last = self._samples
        [first, *_] = [s for s in earlier if _seconds(s, last) <= RATE_S] or earlier[-1:]
        return _between(first, last) if _seconds(first, last) <= LONGEST_RATE_S else None

    def delays(self) -> dict[int, Delay]:
        """Of each partition, by the newest sample; about as precise as samples are apart."""
        if not self._samples:
            return {}
        return {partition: self._delay(partition) for partition in self._samples[-1].ends}

    def _delay(self, partition: int) -> Delay:
        newest = self._samples[-1]
        later = newest
        for sample in reversed(self._samples):
            if sample.ends.get(partition, 0) <= newest.applied[partition]:
                return Delay(_seconds(later, newest))
            later = sample
        return Delay(_seconds(later, newest), longer=True)

    def points(self, every_s: float = 0) -> tuple[Point, ...]:
        """The newest sample, and before each the next that is `every_s` older; oldest first."""
        chosen: list[Sample] = []
        for sample in reversed(self._samples):
            if not chosen or _seconds(sample, chosen[-1]) >= every_s:
                chosen.append(sample)
        return tuple(_point(before, after) for before, after in pairwise(reversed(chosen)))


def _seconds(before: Sample, after: Sample) -> float:
    return (after.at - before.at).total_seconds()


def _between(before: Sample, after: Sample) -> Rates:
    """What went back, as a rewind does, or a topic that was created anew, is no rate: 0."""
    seconds = _seconds(before, after)

    def rates(old: Mapping[int, int], new: Mapping[int, int]) -> dict[int, float]:
        return {p: max(0, new[p] - old.get(p, new[p])) / seconds for p in new}

    return Rates(rates(before.ends, after.ends), rates(before.applied, after.applied))


def _point(before: Sample, after: Sample) -> Point:
    rates = _between(before, after)
    return Point(after.at, after.lag, sum(rates.incoming.values()), sum(rates.applied.values()))
