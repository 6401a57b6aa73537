"""Which dead letters somebody asks for."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from events.kinds import Kind
from worker.deadletters.letter import Letter, Position


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters somebody asks for: those that meet each condition that was given."""

    positions: Collection[Position] = ()
    kinds: Collection[Kind] = ()
    types: Collection[str] = ()
    reason: str = ""  # a part of it, in any case
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, letter: Letter) -> bool:
        return (
            (not self.positions or letter.position in self.positions)
            and (not self.kinds or letter.kind in self.kinds)
            and (not self.types or letter.type in self.types)
            and self.reason.casefold() in letter.reason.casefold()
            and self._is_in_time(letter.rejected_at)
        )

    def names(self, letter: Letter) -> bool:
        """Whether somebody thought of this very letter, or of its kind."""
        return letter.position in self.positions or letter.kind in self.kinds

    def _is_in_time(self, moment: datetime | None) -> bool:
        if moment is None:
            return self.since is None and self.until is None
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)
