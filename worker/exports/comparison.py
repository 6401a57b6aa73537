"""Compares progress rows with what another system says of the same learners and courses. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

# The worst first: a completion that the other system does not know may be a false certificate.
KINDS = (
    "completed here only",
    "completed there only",
    "completed at another time",
    "another percentage",
    "another number of lessons",
    "missing here",
    "missing there",
)
COMPLETE = 100  # percent


class Standing(NamedTuple):
    """Says how far a learner is in a course. What a system does not say is None."""

    lessons: int | None = None  # completed
    percentage: float | None = None
    completed_at: datetime | None = None
    dated: bool = True  # whether the system dates completions: no date then means not complete

    @property
    def is_complete(self) -> bool | None:
        """Tells whether the course is complete; None where the system does not say."""
        if self.completed_at is not None or (self.percentage is not None and self.percentage >= COMPLETE):
            return True
        return None if not self.dated and self.percentage is None else False

    @property
    def is_begun(self) -> bool:
        """Tells whether there is anything of which a row is owed."""
        return bool(self.lessons or self.percentage or self.completed_at)


@dataclass(frozen=True, slots=True)
class Difference:
    """Says in what both systems differ: of several things the worst, which is one of KINDS."""

    kind: str
    here: Standing | None
    there: Standing | None


def compare(here: Standing | None, there: Standing | None, tolerance: timedelta) -> Difference | None:
    """Compares what both say of one learner in one course; None: they agree in all that both say.

    Dates may differ by the tolerance. Percentages may differ by less than one, because systems round.
    """
    kind = _find_kind(here, there, tolerance)
    return Difference(kind, here, there) if kind else None


def _find_kind(here: Standing | None, there: Standing | None, tolerance: timedelta) -> str | None:
    done_here = here is not None and bool(here.is_complete)
    done_there = False if there is None else there.is_complete
    if done_there is not None and done_here != done_there:
        return KINDS[0] if done_here else KINDS[1]
    if here is None or there is None:
        known = here or there
        return (KINDS[5] if here is None else KINDS[6]) if known and known.is_begun else None
    if here.completed_at and there.completed_at and abs(here.completed_at - there.completed_at) > tolerance:
        return KINDS[2]
    if here.percentage is not None and there.percentage is not None and abs(here.percentage - there.percentage) >= 1:
        return KINDS[3]
    return KINDS[4] if None not in (here.lessons, there.lessons) and here.lessons != there.lessons else None
