"""Counts streaks: days in a row on which a learner completed a lesson (rules 18 to 20). Pure.

All are functions of a growing set of days. A day more never makes a streak shorter, in whatever order days come.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

DAY = timedelta(days=1)
# Offsets from UTC are multiples of it, in every zone since 2000: so times that are cut to it have the same day.
QUARTER = timedelta(minutes=15)
SKIPS_A_DATE = 12 * 60  # minutes by which a clock was put forward that has skipped a date


class Clocks(NamedTuple):
    """Holds the offsets from UTC, in minutes, of the clocks by which a learner was active on one day."""

    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class Streak:
    """Holds the days in a row up to now, and the most ever, without the days that were forgiven."""

    current: int
    longest: int


def cut_to_quarter(at: datetime) -> datetime:
    """Returns the quarter of an hour that the instant lies in."""
    return at - (at - datetime(2000, 1, 1, tzinfo=UTC)) % QUARTER


def find_day(at: datetime, utc_offset: int) -> date:
    """Returns the day of an instant by a clock so many minutes ahead of UTC."""
    return (at.astimezone(UTC) + timedelta(minutes=utc_offset)).date()


def gather_days(told: Iterable[tuple[date, int]], instants: Iterable[datetime], zone: tzinfo) -> dict[date, Clocks]:
    """Returns each active day with its clocks: of days that were told with an offset, and of instants in `zone`."""
    days: dict[date, Clocks] = {}
    for day, offset in [*told, *(_read_in(zone, at) for at in instants)]:
        found = days.get(day, Clocks(offset, offset))
        days[day] = Clocks(min(found.lowest, offset), max(found.highest, offset))
    return days


def _read_in(zone: tzinfo, at: datetime) -> tuple[date, int]:
    local = at.astimezone(zone)
    return local.date(), (local.utcoffset() or timedelta()) // timedelta(minutes=1)


def count_streak(days: Mapping[date, Clocks], now: datetime, forgives_every: int = 0) -> Streak:
    """Counts the streak that an active today would lengthen, and the longest; `now` is in the learner's zone."""
    today = find_today(days, now)
    offset = (now.utcoffset() or timedelta()) // timedelta(minutes=1)
    until_today = {day: clocks for day, clocks in days.items() if day <= today}
    was_active = today in until_today
    if not was_active:
        until_today[today] = Clocks(offset, offset)
    current = [length for day, length in walk(until_today, forgives_every) if day == today][-1]
    longest = max((length for _, length in walk(days, forgives_every)), default=0)
    return Streak(current if was_active else current - 1, longest)


def find_today(days: Iterable[date], now: datetime) -> date:
    """Returns the learner's day now. One whose clock is ahead may have been active tomorrow: then that is today."""
    return max([now.date(), *(day for day in days if day <= now.date() + DAY)])


def find_day_of_streak(days: Mapping[date, Clocks], length: int, forgives_every: int = 0) -> date | None:
    """Returns the first day that ended a streak of this length; None: there was none so far."""
    return next((day for day, reached in walk(days, forgives_every) if reached >= length), None)


def walk(days: Mapping[date, Clocks], forgives_every: int = 0) -> Iterator[tuple[date, int]]:
    """Yields each active day in order, with the length of the longest streak that ends on it.

    A streak is a window of days whose missing dates are forgiven: each is a single one, and any two are at least
    `forgives_every` days apart. To forgive the first gap that comes would be another rule: a day more could use up what
    a longer streak needs. A date that was skipped on the way over the date line is not missing.
    """
    begin = 0  # of the window, in the order of days
    forgiven: tuple[int, date] | None = None  # the last missing date that the window forgives, and the day after it
    before: date | None = None
    for number, day in enumerate(sorted(days)):
        missing = (day - before).days - 1 if before else 0
        if before and missing == 1 and days[day].highest - days[before].lowest >= SKIPS_A_DATE:
            missing = 0
        if missing == 1 and forgives_every:
            if forgiven and (day - DAY - forgiven[1]).days < forgives_every:
                begin = forgiven[0]
            forgiven = number, day - DAY
        elif missing:
            begin, forgiven = number, None
        before = day
        yield day, number - begin + 1
