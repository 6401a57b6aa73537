"""Reads a learner's progress from PostgreSQL, each time with the instant as of which the answer holds."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg

from events.models import normalize_lesson_id
from worker.errors import ValueRefused
from worker.postgres.connection import query
from worker.postgres.pool import Pool

T = TypeVar("T")

# Of one answer: they are some 70 KB, 3 MB where each id is as long and as odd as an id can be, and take milliseconds of
# the event loop. A learner can have any number of lessons.
MOST_LESSONS = 2000
MOST_COURSES = 1000


@dataclass(frozen=True, slots=True)
class CourseProgress:
    """Describes one user's progress in one course: a row of the view course_progress."""

    user_id: UUID
    course_id: UUID
    lessons_completed: int
    total_lessons: int | None  # None: not known yet
    progress_percentage: int  # 0-100; 100 exactly when complete
    completed_lessons: tuple[str, ...]  # in the order they were completed; the first ones, see `more_lessons`
    last_lesson_id: str | None
    last_accessed_at: datetime
    started_at: datetime
    completed_at: datetime | None
    completion_number: int  # of the latest completion; a recovery skips numbers

    @property
    def more_lessons(self) -> int:
        """Returns how many completed lessons are not in `completed_lessons`; `list_lessons` reads all in pages."""
        return max(0, self.lessons_completed - len(self.completed_lessons))


@dataclass(frozen=True, slots=True)
class ProgressStats:
    """Sums up all courses of one user."""

    total_courses: int
    completed_courses: int
    in_progress_courses: int
    lessons_completed: int
    average_percentage: int  # to the nearest whole number
    summed_percentages: int


@dataclass(frozen=True, slots=True)
class ReadResult(Generic[T]):
    """Pairs a value with a time by the database's clock: everything committed before `as_of` is in the value."""

    as_of: datetime
    value: T


@dataclass(frozen=True, slots=True)
class ListCursor:
    """Marks a position in a user's list of courses: behind this course."""

    last_accessed_at: datetime
    course_id: UUID


@dataclass(frozen=True, slots=True)
class CompletedLesson:
    """Names a lesson, and when the user completed it. It also marks a position in the list of them: behind it."""

    lesson_id: str
    completed_at: datetime


class ProgressReader:
    """Reads progress over a pool of connections.

    Every method runs one query, and raises DatabaseUnavailable or SetupError. The courses of one result have
    MOST_LESSONS completed lessons at most, all of them together; `more_lessons` tells of each how many are left out.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_courses(self, user_id: UUID, course_ids: Iterable[UUID]) -> ReadResult[dict[UUID, CourseProgress]]:
        """Returns the user's progress by course id; courses without progress are missing from the dict."""
        wanted = list(course_ids)
        if len(wanted) == 1:
            rows = await self.fetch("learners/progress_of_courses", user_id, wanted, MOST_LESSONS)
        else:
            rows = await self.fetch(
                "learners/progress_of_user", user_id, True, None, None, None, True, wanted, MOST_LESSONS
            )
        read = _read_result(rows)
        return ReadResult(read.as_of, {progress.course_id: progress for progress in read.value})

    async def list_courses(
        self,
        user_id: UUID,
        *,
        include_completed: bool,
        include_current: bool = True,
        after: ListCursor | None = None,
        limit: int = MOST_COURSES,
    ) -> ReadResult[list[CourseProgress]]:
        """Lists the user's courses, the latest accessed first.

        `after` leaves out the courses before it and its own course; `limit` is the largest number returned.
        """
        cursor = (after.last_accessed_at, after.course_id) if after else (None, None)
        chosen = (include_completed, *cursor, limit, include_current, None, MOST_LESSONS)
        return _read_result(await self.fetch("learners/progress_of_user", user_id, *chosen))

    async def list_lessons(
        self, user_id: UUID, course_id: UUID, *, after: CompletedLesson | None = None, limit: int = MOST_LESSONS
    ) -> ReadResult[list[CompletedLesson]]:
        """Lists the lessons that the user has completed in the course, in the order they were completed.

        `after` leaves out the lessons up to it; `limit` is the largest number returned.
        """
        cursor = (after.completed_at, after.lesson_id) if after else (None, None)
        rows = await self.fetch("learners/completed_lessons", user_id, course_id, *cursor, limit)
        found = [CompletedLesson(row["lesson_id"], row["completed_at"]) for row in rows if row["lesson_id"] is not None]
        return ReadResult(rows[0]["as_of"], found)

    async def find_completed(self, user_id: UUID, lessons: Iterable[tuple[UUID, str]]) -> dict[UUID, set[str]]:
        """Returns, by course id, those of the lessons (course id, lesson id) that the user has completed."""
        asked = list(lessons)
        columns = [course_id for course_id, _ in asked], [lesson_id for _, lesson_id in asked]
        found: dict[UUID, set[str]] = {}
        for row in await self.fetch("learners/completed_of_lessons", user_id, *columns):
            found.setdefault(row["course_id"], set()).add(row["lesson_id"])
        return found

    async def is_completed(self, user_id: UUID, course_id: UUID, lesson_id: str) -> bool:
        """Tells whether the lesson is completed now; False for an unknown lesson."""
        try:
            key = (user_id, course_id, normalize_lesson_id(lesson_id))
            [row] = await self.fetch("learners/lesson_completed", *key)
        except ValueRefused:  # the text cannot be a lesson id
            return False
        return bool(row["completed"])

    async def read_stats(self, user_id: UUID) -> ReadResult[ProgressStats]:
        """Returns the user's statistics: zeros for a user without progress."""
        [row] = await self.fetch("learners/progress_stats", user_id)
        values = dict(row)
        return ReadResult(values.pop("as_of"), ProgressStats(**values))

    async def read_marks(self, user_ids: Collection[UUID]) -> dict[UUID, int]:
        """Returns a number per user with progress. It differs once a row of that user was added, removed or changed."""
        return {row["user_id"]: row["mark"] for row in await self.fetch("learners/progress_marks", list(user_ids))}

    async def fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Returns the rows of the statement `worker/<name>.sql`. Raises ValueRefused too."""
        return await self._pool.fetch(query(name), *arguments)


def _read_result(rows: list[asyncpg.Record]) -> ReadResult[list[CourseProgress]]:
    found = [dict(row) for row in rows if row["course_id"] is not None]
    for values in found:
        del values["as_of"]
        values["completed_lessons"] = tuple(values["completed_lessons"])
    return ReadResult(rows[0]["as_of"], [CourseProgress(**values) for values in found])
