"""Keeps where the log ended and what was applied over the last minutes: lag and rates, for charts. Pure."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

RATE_S = 10  # the time over which a rate is averaged
LONGEST_RATE_S = 60  # the longest such time, where samples are far apart


@dataclass(frozen=True, slots=True)
class Sample:
    """Holds one look at all partitions, by number.

    `applied` is the offset from which the workers read on.
    """

    at: datetime
    ends: Mapping[int, int]
    applied: Mapping[int, int]

    @property
    def lag(self) -> dict[int, int]:
        """Returns the number of events of each partition that are not applied."""
        return {partition: max(0, end - self.applied[partition]) for partition, end in self.ends.items()}


@dataclass(frozen=True, slots=True)
class Rates:
    """Holds the events per second of each partition: written to the log, and applied."""

    incoming: Mapping[int, float]
    applied: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Delay:
    """Says how many seconds ago the log ended where the workers are now: events written since then wait."""

    seconds: float
    longer: bool = False  # it may be more: there is no earlier sample


@dataclass(frozen=True, slots=True)
class Point:
    """Holds a moment of a chart; the rates are those since the point before it."""

    at: datetime
    lag: Mapping[int, int]  # by partition
    incoming_per_s: float
    applied_per_s: float


class LagHistory:
    """Keeps the samples of the last `kept_s` seconds. While one server was away there are none: a gap."""

    def __init__(self, kept_s: float) -> None:
        self._kept_s = kept_s
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        while self._samples and self._samples[-1].at >= sample.at:  # the clock was set back
            self._samples.pop()
        self._samples.append(sample)
        while _seconds_between(self._samples[0], sample) > self._kept_s:
            self._samples.popleft()

    def rates(self) -> Rates | None:
        """Returns the rates over the last RATE_S, or since the previous sample where that is older.

        None where the previous sample is older than LONGEST_RATE_S.
        """
        if len(self._samples) < 2:
            return None
        *earlier, last = self._samples
        [first, *_] = [s for s in earlier if _seconds_between(s, last) <= RATE_S] or earlier[-1:]
        return _compute_rates(first, last) if _seconds_between(first, last) <= LONGEST_RATE_S else None

    def delays(self) -> dict[int, Delay]:
        """Returns the delay of each partition by the newest sample, as precise as the distance between samples."""
        if not self._samples:
            return {}
        return {partition: self._delay(partition) for partition in self._samples[-1].ends}

    def _delay(self, partition: int) -> Delay:
        newest = self._samples[-1]
        later = newest
        for sample in reversed(self._samples):
            if sample.ends.get(partition, 0) <= newest.applied[partition]:
                return Delay(_seconds_between(later, newest))
            later = sample
        return Delay(_seconds_between(later, newest), longer=True)

    def points(self, every_s: float = 0) -> tuple[Point, ...]:
        """Returns points at least `every_s` apart, oldest first. The newest sample is always one of them."""
        chosen: list[Sample] = []
        for sample in reversed(self._samples):
            if not chosen or _seconds_between(sample, chosen[-1]) >= every_s:
                chosen.append(sample)
        return tuple(_build_point(before, after) for before, after in pairwise(reversed(chosen)))


def _seconds_between(before: Sample, after: Sample) -> float:
    return (after.at - before.at).total_seconds()


def _compute_rates(before: Sample, after: Sample) -> Rates:
    """Computes the rates between two samples. A rate is 0 where offsets went back: a rewind, or a recreated topic."""
    seconds = _seconds_between(before, after)

    def rates(old: Mapping[int, int], new: Mapping[int, int]) -> dict[int, float]:
        return {p: max(0, new[p] - old.get(p, new[p])) / seconds for p in new}

    return Rates(rates(before.ends, after.ends), rates(before.applied, after.applied))


def _build_point(before: Sample, after: Sample) -> Point:
    rates = _compute_rates(before, after)
    return Point(after.at, after.lag, sum(rates.incoming.values()), sum(rates.applied.values()))
