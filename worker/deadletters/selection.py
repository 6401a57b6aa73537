"""Selects dead letters by position, kind, type, reason and time."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from events.kinds import Kind
from worker.deadletters.letter import Letter, Position


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects the letters that meet every condition. An empty condition selects every letter."""

    positions: Collection[Position] = ()
    kinds: Collection[Kind] = ()
    types: Collection[str] = ()
    reason: str = ""  # a part of the reason, in any case
    since: datetime | None = None  # rejected at or after
    until: datetime | None = None  # rejected before

    def takes(self, letter: Letter) -> bool:
        """Says whether the letter meets every condition."""
        return (
            (not self.positions or letter.position in self.positions)
            and (not self.kinds or letter.kind in self.kinds)
            and (not self.types or letter.type in self.types)
            and self.reason.casefold() in letter.reason.casefold()
            and self._is_in_time(letter.rejected_at)
        )

    def names(self, letter: Letter) -> bool:
        """Says whether the operator named this letter's position, or its kind."""
        return letter.position in self.positions or letter.kind in self.kinds

    def _is_in_time(self, moment: datetime | None) -> bool:
        if moment is None:
            return self.since is None and self.until is None
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)
