"""Counts what one learner did, per day and per week, for the learner's own page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Self
from uuid import UUID

from worker.postgres.connection import query, with_time_limit
from worker.postgres.pool import connect_pool
from worker.settings import Settings

LONGEST_S = 5.0
MOST_DAYS = 366
MOST_LESSONS = 100_000  # that are counted: a learner with more has others left out


@dataclass(frozen=True, slots=True)
class Period:
    """Holds a day, or a week by its Monday, and the number of lessons completed in it."""

    start: date
    lessons: int


class Activity:
    """Counts a learner's completed lessons per day and per week. An async context manager.

    A lesson counts on the day of its `completed_at` (docs/rules.md, rule 1) while it is completed. Un-completing it, or
    a reset of the course, removes it from past days too. Of a learner with more than MOST_LESSONS, only so many count.
    Every operation raises DatabaseUnavailable.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = with_time_limit(settings, LONGEST_S)

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(self._settings, max_size=5)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._pool.close()

    async def count_per_day(self, user_id: UUID, days: int = 28, zone: tzinfo | None = None) -> tuple[Period, ...]:
        """Counts lessons on each of the last `days` days (1 to MOST_DAYS), today last, days without lessons included.

        Days begin at midnight in the learner's `zone`, or in UTC without one. Raises ValueError for another number of
        days.
        """
        last = _today(zone)
        first = last - timedelta(days=_require_range(days, MOST_DAYS) - 1)
        return by_day(await self._count_completed(user_id, first, last, zone), first, last)

    async def count_per_week(self, user_id: UUID, weeks: int = 12, zone: tzinfo | None = None) -> tuple[Period, ...]:
        """Counts lessons in each of the last `weeks` weeks (1 to 52), this week last, as `count_per_day` does.

        Weeks begin on Mondays.
        """
        last = _today(zone)
        first = monday_of(last) - timedelta(weeks=_require_range(weeks, MOST_DAYS // 7) - 1)
        return by_week(by_day(await self._count_completed(user_id, first, last, zone), first, last))

    async def read_zone(self, user_id: UUID) -> tzinfo:
        """Returns the offset from UTC of the clock by which the user was last seen; UTC where no event told of one."""
        rows = await self._pool.fetch(query("learners/latest_offset"), user_id)
        return timezone(timedelta(minutes=rows[0]["utc_offset"])) if rows else UTC

    async def _count_completed(self, user_id: UUID, first: date, last: date, zone: tzinfo | None) -> dict[date, int]:
        midnights = list_midnights(first, last, zone or UTC)
        rows = await self._pool.fetch(query("learners/lessons_per_day"), user_id, midnights, MOST_LESSONS)
        return {first + timedelta(days=row["number"] - 1): row["lessons"] for row in rows}


def list_midnights(first: date, last: date, zone: tzinfo) -> list[datetime]:
    """Lists the instants, in UTC, at which these days and the one after them begin. A day may have 23 or 25 hours.

    PostgreSQL is not asked, because it may know other zones than this machine.
    """
    days = (first + timedelta(days=n) for n in range((last - first).days + 2))
    return [datetime.combine(day, time(), zone).astimezone(UTC) for day in days]


def by_day(completed: Mapping[date, int], first: date, last: date) -> tuple[Period, ...]:
    """Returns a Period for every day from the first to the last; 0 lessons where `completed` has no entry."""
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return tuple(Period(day, completed.get(day, 0)) for day in days)


def by_week(days: tuple[Period, ...]) -> tuple[Period, ...]:
    """Returns a Period for every week that contains one of these days."""
    weeks: dict[date, int] = {}
    for day in days:
        weeks[monday_of(day.start)] = weeks.get(monday_of(day.start), 0) + day.lessons
    return tuple(Period(start, lessons) for start, lessons in weeks.items())


def monday_of(day: date) -> date:
    """Returns the Monday of the day's week."""
    return day - timedelta(days=day.weekday())


def _today(zone: tzinfo | None) -> date:
    return datetime.now(zone or UTC).date()


def _require_range(number: int, most: int) -> int:
    if not 1 <= number <= most:
        raise ValueError(f"{number} is not between 1 and {most}")
    return number
