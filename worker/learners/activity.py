"""What one learner did, for the learner's own page: lessons per day and week."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Self
from uuid import UUID
from zoneinfo import ZoneInfo

from worker.postgres.connection import query, with_time_limit
from worker.postgres.pool import connect_pool
from worker.settings import Settings

LONGEST_S = 5.0
MOST_DAYS = 366


@dataclass(frozen=True, slots=True)
class Period:
    """A day, or a week by its Monday, and how many lessons were completed in it."""

    start: date
    lessons: int


class Activity:
    """An async context manager. Its operations raise DatabaseUnavailable.

    A lesson counts on the day it is dated by (docs/rules.md, rule 1), as long as it is completed: un-completing it,
    or starting the course over, takes it out of the past too.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = with_time_limit(settings, LONGEST_S)

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(self._settings, max_size=5)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._pool.close()

    async def count_per_day(self, user_id: UUID, days: int = 28, zone: ZoneInfo | None = None) -> tuple[Period, ...]:
        """The last `days` days (1 to MOST_DAYS), today last, idle ones too. Days are the learner's `zone`'s, or UTC's.

        Raises ValueRefused for a zone that PostgreSQL does not know.
        """
        last = _today(zone)
        first = last - timedelta(days=_within(days, MOST_DAYS) - 1)
        return by_day(await self._completed(user_id, first, last, zone), first, last)

    async def count_per_week(self, user_id: UUID, weeks: int = 12, zone: ZoneInfo | None = None) -> tuple[Period, ...]:
        """The last `weeks` weeks (1 to 52), this one last: as `count_per_day`. Weeks begin on Mondays."""
        last = _today(zone)
        first = monday(last) - timedelta(weeks=_within(weeks, MOST_DAYS // 7) - 1)
        return by_week(by_day(await self._completed(user_id, first, last, zone), first, last))

    async def _completed(self, user_id: UUID, first: date, last: date, zone: tzinfo | None) -> dict[date, int]:
        rows = await self._pool.fetch(query("learners/lessons_per_day"), user_id, first, last, str(zone or "UTC"))
        return {row["day"]: row["lessons"] for row in rows}


def by_day(completed: Mapping[date, int], first: date, last: date) -> tuple[Period, ...]:
    """Every day from the first to the last."""
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return tuple(Period(day, completed.get(day, 0)) for day in days)


def by_week(days: tuple[Period, ...]) -> tuple[Period, ...]:
    """Every week that has one of these days."""
    weeks: dict[date, int] = {}
    for day in days:
        weeks[monday(day.start)] = weeks.get(monday(day.start), 0) + day.lessons
    return tuple(Period(start, lessons) for start, lessons in weeks.items())


def monday(day: date) -> date:
    """Of the day's week."""
    return day - timedelta(days=day.weekday())


def _today(zone: tzinfo | None) -> date:
    return datetime.now(zone or UTC).date()


def _within(number: int, most: int) -> int:
    if not 1 <= number <= most:
        raise ValueError(f"{number} is not between 1 and {most}")
    return number
