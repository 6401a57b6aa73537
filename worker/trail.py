"""Where the log ended and what was applied, over the last minutes: lag and rates, for charts. Pure."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

RATE_S = 10  # rates are those of about so many seconds


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
class Point:
    """A moment of a chart; the rates are those since the point before it."""

    at: datetime
    lag: Mapping[int, int]  # by partition
    incoming_per_s: float
    applied_per_s: float


class Trail:
    """The last samples, of which it keeps a bounded number. A time when one server was away is a gap."""

    def __init__(self, kept: int) -> None:
        self._samples: deque[Sample] = deque(maxlen=kept)

    def add(self, sample: Sample) -> None:
        self._samples.append(sample)

    def rates(self) -> Rates | None:
        """Of the last RATE_S; None before there are two samples in it."""
        if not self._samples:
            return None
        last = self._samples[-1]
        recent = [s for s in self._samples if (last.at - s.at).total_seconds() <= RATE_S]
        return _between(recent[0], last) if len(recent) > 1 else None

    def points(self, every: int = 1) -> tuple[Point, ...]:
        """The newest sample and each `every`th before it, oldest first."""
        samples = list(self._samples)[::-1][::every][::-1]
        return tuple(_point(before, after) for before, after in pairwise(samples))


def _between(before: Sample, after: Sample) -> Rates:
    """What went back, as a rewind does, or a topic that was created anew, is no rate: 0."""
    seconds = (after.at - before.at).total_seconds()

    def rates(old: Mapping[int, int], new: Mapping[int, int]) -> dict[int, float]:
        return {p: max(0, new[p] - old.get(p, new[p])) / seconds for p in new}

    return Rates(rates(before.ends, after.ends), rates(before.applied, after.applied))


def _point(before: Sample, after: Sample) -> Point:
    rates = _between(before, after)
    return Point(after.at, after.lag, sum(rates.incoming.values()), sum(rates.applied.values()))
