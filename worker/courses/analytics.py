"""How a course goes, for its instructors: figures of at least five learners, never of one (anonymity.py)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self
from uuid import UUID

import asyncpg
from cachetools import TTLCache

from worker.courses.anonymity import K, merge_small, percent, rounded_down
from worker.errors import DatabaseUnavailable, TookTooLong, TooMuchToCount
from worker.postgres.connection import query, with_time_limit
from worker.postgres.pool import connect_pool
from worker.settings import Settings

DAYS = 30
LONGEST_S = 10.0
FRESH_S = 60.0
KEPT_COURSES = 1000  # courses
HOUR, DAY = 3600, 24 * 3600
BUCKETS_S = (HOUR, DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY)


@dataclass(frozen=True, slots=True)
class LessonReach:
    """How many of the course's learners have completed a lesson."""

    lesson_id: str
    learners: int


@dataclass(frozen=True, slots=True)
class Duration:
    """How many completed the course within this time of their first event; `below_s` None: however long it took."""

    from_s: int
    below_s: int | None
    learners: int


@dataclass(frozen=True, slots=True)
class ActiveDay:
    """How many learners were active on a day, in UTC."""

    day: date
    learners: int


@dataclass(frozen=True, slots=True)
class Analytics:
    """A course with at least five learners. Every count of learners is a multiple of five, rounded down: 0 is fewer
    than five."""

    course_id: UUID
    as_of: datetime
    learners: int  # who opened the course or did anything in it; not those who started over and did nothing since
    completed: int
    completion_rate: int | None  # whole percent; None: too few learners to tell
    lessons: tuple[LessonReach, ...]  # in the order in which learners complete them; lessons of fewer than five missing
    time_to_complete: tuple[Duration, ...]  # shortest first, merged until each has five; empty: fewer than five did
    active: tuple[ActiveDay, ...]  # the last DAYS days, today last


class CourseAnalytics:
    """An async context manager. Answers are kept for FRESH_S, for a large course costs seconds.

    Active on a day is who completed a lesson on it that is completed still, or had their last access on it. Rows keep
    the last access only, so somebody who merely read counts on the latest such day: figures of past days are too low
    rather than too high, and shrink a little as learners come back.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = with_time_limit(settings, LONGEST_S)
        self._answers: TTLCache[UUID, tuple[Analytics | TookTooLong | None]] = TTLCache(KEPT_COURSES, FRESH_S, clock)
        self._asking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(self._settings, max_size=1)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._pool.close()

    async def read(self, course_id: UUID) -> Analytics | None:
        """The course's figures, at most FRESH_S old; None for one with fewer than five learners, or none.

        Raises DatabaseUnavailable, as TooMuchToCount for a course that is too large for LONGEST_S.
        """
        kept = self._answers.get(course_id)
        if kept is None:
            async with self._turn():
                kept = self._answers.get(course_id)
                if kept is None:
                    kept = self._answers[course_id] = (await self._ask(course_id),)
        [answer] = kept
        if isinstance(answer, TookTooLong):
            raise TooMuchToCount(str(answer))
        return answer

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One course at a time: the second who asks for it finds the answer of the first. Nobody waits for ever."""
        try:
            async with asyncio.timeout(LONGEST_S):
                await self._asking.acquire()
        except TimeoutError:
            raise DatabaseUnavailable(f"other courses' figures have been asked for during {LONGEST_S} s") from None
        try:
            yield
        finally:
            self._asking.release()

    async def _ask(self, course_id: UUID) -> Analytics | TookTooLong | None:
        """That it took too long is kept too: whoever asks again and again would have all others wait behind it."""
        try:
            return await self._figures(course_id)
        except TookTooLong as error:
            return error

    async def _figures(self, course_id: UUID) -> Analytics | None:
        today = datetime.now(UTC).date()
        days = [today - timedelta(days=DAYS - 1 - n) for n in range(DAYS)]
        [row] = await self._pool.fetch(query("courses/course_analytics"), course_id, days[0], days[-1], BUCKETS_S, K)
        return None if row["learners"] < K else _analytics(course_id, days, row)


def _analytics(course_id: UUID, days: list[date], row: asyncpg.Record) -> Analytics:
    on = dict(zip(row["days"], row["day_learners"], strict=True))
    return Analytics(
        course_id,
        row["as_of"],
        rounded_down(row["learners"]),
        rounded_down(row["completed"]),
        percent(row["completed"], row["learners"]),
        tuple(LessonReach(id, rounded_down(n)) for id, n in zip(row["lessons"], row["lesson_learners"], strict=True)),
        durations(row["seconds"]),
        tuple(ActiveDay(day, rounded_down(on.get(day, 0))) for day in days),
    )


def durations(counts: list[int]) -> tuple[Duration, ...]:
    """The histogram of exact counts per bucket, as it may be shown."""
    starts, ends = (0, *BUCKETS_S), (*BUCKETS_S, None)
    parts = merge_small(counts)
    first = [0, *(last + 1 for last, _ in parts[:-1])]
    return tuple(Duration(starts[f], ends[last], rounded_down(n)) for f, (last, n) in zip(first, parts, strict=False))
