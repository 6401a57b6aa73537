"""Stops the intake of a stream when so many records are rejected that their sender, or this worker, is at fault."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from events.kinds import Kind
from worker.errors import BreakerOpen
from worker.metrics import prometheus as metrics
from worker.stream.outcome import Outcome, Record, Rejected

log = structlog.get_logger("intake")

Entries = Sequence[tuple[Record, Outcome]]


def is_too_large(outcome: Outcome) -> bool:
    """Says whether a record is too large. The breaker counts none: to wait would save none, and hold up good events."""
    return isinstance(outcome, Rejected) and outcome.kind is Kind.TOO_LARGE


@dataclass(frozen=True, slots=True)
class Flood:
    """Says why the breaker opens: how many records of how many were rejected, and the first that is not settled."""

    rejected: int
    of: int
    first: Rejected

    def __str__(self) -> str:
        record = self.first.record
        return (
            f"{self.rejected} of the last {self.of} records were rejected: the worker takes no more and skips nothing, "
            f"the backlog waits. The first that is not a dead letter yet is {record.topic}[{record.partition}] offset "
            f"{record.offset} ({self.first.reason}). If the database refuses them, or only a newer worker reads them, "
            "mend that and restart. If what is in the log stays bad, make its sender stop, restart with "
            "PROGRESS_BREAKER_SHARE=0 PROGRESS_BREAKER_CONSECUTIVE=0, and without these when the lag is gone"
        )


class Breaker:
    """Remembers which of the last records were rejected, and whether it is open. It stays open until a restart.

    `find_flood` judges records that are not settled yet, and changes nothing; `count` remembers settled ones.
    """

    def __init__(self, *, window: int, share_percent: int, consecutive: int) -> None:
        """Opens at `share_percent` of a full window, or at `consecutive` in a row; 0 switches either off."""
        self._share_percent = share_percent
        self._consecutive = consecutive
        self._recent: deque[bool] = deque(maxlen=window)
        self._rejected = 0  # of the recent ones
        self._run = 0  # rejected in a row, up to now
        self._opened: Flood | None = None

    @property
    def opened(self) -> BreakerOpen | None:
        """Returns why nothing is taken any more; None while it is closed."""
        return BreakerOpen(str(self._opened)) if self._opened else None

    def require_closed(self, entries: Entries) -> None:
        """Raises BreakerOpen when it is open, or when these records, in this order, open it."""
        if self._opened is None and (flood := self.find_flood(entries)):
            self._opened = flood
            log.error("the breaker is open", reason=str(flood))
            metrics.BREAKER_OPEN.set(1)
        if self._opened:
            raise BreakerOpen(str(self._opened))

    def count(self, entries: Entries) -> None:
        """Remembers the outcomes of settled records."""
        for _, outcome in entries:
            rejected = isinstance(outcome, Rejected)
            if not (rejected and is_too_large(outcome)):
                self._slide(rejected)

    def find_flood(self, entries: Entries) -> Flood | None:
        """Returns the flood that these records, in this order, would complete; None if they do not."""
        if not any(isinstance(outcome, Rejected) for _, outcome in entries):
            return None
        entries = [entry for entry in entries if not is_too_large(entry[1])]
        trial = self._copy()
        for number, (_, outcome) in enumerate(entries):
            trial._slide(isinstance(outcome, Rejected))
            if isinstance(outcome, Rejected) and (over := trial._find_excess()):
                rejected, of = over
                evidence = entries[max(0, number + 1 - of) : number + 1]
                return Flood(rejected, of, next(o for _, o in evidence if isinstance(o, Rejected)))
        return None

    def _find_excess(self) -> tuple[int, int] | None:
        if self._consecutive and self._run >= self._consecutive:
            return self._run, self._run
        window = self._recent.maxlen or 0
        full = len(self._recent) == window
        if self._share_percent and full and self._rejected * 100 >= self._share_percent * window:
            return self._rejected, window
        return None

    def _slide(self, rejected: bool) -> None:
        if len(self._recent) == self._recent.maxlen:
            self._rejected -= self._recent[0]
        self._recent.append(rejected)
        self._rejected += rejected
        self._run = self._run + 1 if rejected else 0

    def _copy(self) -> "Breaker":
        window = self._recent.maxlen or 0
        same = Breaker(window=window, share_percent=self._share_percent, consecutive=self._consecutive)
        same._recent, same._rejected, same._run = self._recent.copy(), self._rejected, self._run
        return same
