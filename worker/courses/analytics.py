"""Computes a course's figures for its instructors: of at least five learners, never of one (anonymity.py)."""

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

from worker.courses.anonymity import K, merge_small, percent, round_down
from worker.errors import DatabaseUnavailable, TookTooLong, TooMuchToCount
from worker.postgres.connection import query, with_time_limit
from worker.postgres.pool import connect_pool
from worker.settings import Settings

DAYS = 30
LONGEST_S = 10.0
FRESH_S = 60.0
KEPT_BYTES = 16 * 1024 * 1024  # of answers
READ_LESSONS = 2000  # of one learner
MOST_LESSONS = 300  # of an answer
HOUR, DAY = 3600, 24 * 3600
BUCKETS_S = (HOUR, DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY)


@dataclass(frozen=True, slots=True)
class LessonReach:
    """Counts the course's learners who have completed a lesson."""

    lesson_id: str
    learners: int


@dataclass(frozen=True, slots=True)
class Duration:
    """Counts the learners who completed the course within this time of their first event.

    The time is `from_s` or more and less than `below_s`; None: without an upper limit.
    """

    from_s: int
    below_s: int | None
    learners: int


@dataclass(frozen=True, slots=True)
class ActiveDay:
    """Counts the learners who were active on a day, in UTC."""

    day: date
    learners: int


@dataclass(frozen=True, slots=True)
class Analytics:
    """Describes a course with at least five learners.

    Every count of learners is rounded down to a multiple of five: 0 is fewer than five.
    """

    course_id: UUID
    as_of: datetime
    learners: int  # those with an event in the course; not those whose latest event is a reset
    completed: int
    completion_rate: int | None  # whole percent; None: too few learners
    lessons: tuple[LessonReach, ...]  # in the order of completion; those of fewer than five learners are missing
    time_to_complete: tuple[Duration, ...]  # shortest first, merged until each has five; empty: fewer than five in all
    active: tuple[ActiveDay, ...]  # the last DAYS days, today last
    more_lessons: int = 0  # that five learners completed, beyond the MOST_LESSONS that most learners did


class CourseAnalytics:
    """Reads the figures of courses. An async context manager.

    It keeps answers for FRESH_S, because a large course costs seconds.

    A learner is active on the day of a completion that still stands, and on the day of the last access.
    Of a learner with more than READ_LESSONS lessons in the course, only so many count.
    Rows keep only the last access, so a learner who only reads counts on the latest such day. Figures of past days are
    therefore too low rather than too high, and shrink a little as learners come back.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = with_time_limit(settings, LONGEST_S)
        self._answers: TTLCache[UUID, tuple[Analytics | TookTooLong | None]] = TTLCache(
            KEPT_BYTES, FRESH_S, clock, measure
        )
        self._querying = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(self._settings, max_size=1)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._pool.close()

    async def read(self, course_id: UUID) -> Analytics | None:
        """Returns the course's figures, at most FRESH_S old; None for a course with fewer than five learners.

        Raises DatabaseUnavailable; its subclass TooMuchToCount for a course that takes longer than LONGEST_S.
        """
        kept = self._answers.get(course_id)
        if kept is None:
            async with self._take_turn():
                kept = self._answers.get(course_id)
                if kept is None:
                    kept = self._answers[course_id] = (await self._read_or_too_long(course_id),)
        [answer] = kept
        if isinstance(answer, TookTooLong):
            raise TooMuchToCount(str(answer))
        return answer

    @asynccontextmanager
    async def _take_turn(self) -> AsyncIterator[None]:
        """Lets one caller query at a time, so that a second caller for the same course finds the first one's answer.

        A caller waits at most LONGEST_S, then gets DatabaseUnavailable.
        """
        try:
            async with asyncio.timeout(LONGEST_S):
                await self._querying.acquire()
        except TimeoutError:
            raise DatabaseUnavailable(f"figures of other courses were being computed for {LONGEST_S} s") from None
        try:
            yield
        finally:
            self._querying.release()

    async def _read_or_too_long(self, course_id: UUID) -> Analytics | TookTooLong | None:
        """Returns TookTooLong instead of raising it, so that it is cached too.

        Otherwise a caller who repeats such a question would make all other callers wait behind it.
        """
        try:
            return await self._query_figures(course_id)
        except TookTooLong as error:
            return error

    async def _query_figures(self, course_id: UUID) -> Analytics | None:
        today = datetime.now(UTC).date()
        days = [today - timedelta(days=DAYS - 1 - n) for n in range(DAYS)]
        arguments = (course_id, days[0], days[-1], BUCKETS_S, K, READ_LESSONS, MOST_LESSONS)
        [row] = await self._pool.fetch(query("courses/course_analytics"), *arguments)
        return None if row["learners"] < K else _build_analytics(course_id, days, row)


def measure(kept: tuple[Analytics | TookTooLong | None]) -> int:
    """Returns about how many bytes an answer takes in memory, and the entry of a cache around it."""
    lessons = kept[0].lessons if isinstance(kept[0], Analytics) else ()
    return 10_000 + sum(150 + 4 * len(lesson.lesson_id) for lesson in lessons)


def _build_analytics(course_id: UUID, days: list[date], row: asyncpg.Record) -> Analytics:
    active = dict(zip(row["days"], row["day_learners"], strict=True))
    return Analytics(
        course_id,
        row["as_of"],
        round_down(row["learners"]),
        round_down(row["completed"]),
        percent(row["completed"], row["learners"]),
        tuple(LessonReach(id, round_down(n)) for id, n in zip(row["lessons"], row["lesson_learners"], strict=True)),
        build_durations(row["seconds"]),
        tuple(ActiveDay(day, round_down(active.get(day, 0))) for day in days),
        row["more_lessons"],
    )


def build_durations(counts: list[int]) -> tuple[Duration, ...]:
    """Builds the histogram that may be published from the exact counts per bucket of BUCKETS_S."""
    starts, ends = (0, *BUCKETS_S), (*BUCKETS_S, None)
    parts = merge_small(counts)
    first = [0, *(last + 1 for last, _ in parts[:-1])]
    return tuple(Duration(starts[f], ends[last], round_down(n)) for f, (last, n) in zip(first, parts, strict=False))
