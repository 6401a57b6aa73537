"""Reads a learner's progress from PostgreSQL, each time with the instant as of which the answer holds."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg

from worker.postgres.connection import query
from worker.postgres.pool import Pool

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CourseProgress:
    """Describes one user's progress in one course: a row of the view course_progress."""

    user_id: UUID
    course_id: UUID
    lessons_completed: int
    total_lessons: int | None  # None: not known yet
    progress_percentage: int  # 0-100; 100 exactly when complete
    completed_lessons: tuple[str, ...]  # in the order they were completed
    last_lesson_id: str | None
    last_accessed_at: datetime
    started_at: datetime
    completed_at: datetime | None
    completion_number: int  # how often the course has become complete


@dataclass(frozen=True, slots=True)
class ProgressStats:
    """Sums up all courses of one user."""

    total_courses: int
    completed_courses: int
    in_progress_courses: int
    lessons_completed: int
    average_percentage: int  # to the nearest whole number


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


class ProgressReader:
    """Reads progress over a pool of connections.

    Every method runs one query, and raises DatabaseUnavailable or SetupError.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_courses(self, user_id: UUID, course_ids: Iterable[UUID]) -> ReadResult[dict[UUID, CourseProgress]]:
        """Returns the user's progress by course id; courses without progress are missing from the dict."""
        read = _read_result(await self.fetch("learners/progress_of_courses", user_id, list(course_ids)))
        return ReadResult(read.as_of, {progress.course_id: progress for progress in read.value})

    async def list_courses(
        self,
        user_id: UUID,
        *,
        include_completed: bool,
        include_current: bool = True,
        after: ListCursor | None = None,
        limit: int | None = None,
    ) -> ReadResult[list[CourseProgress]]:
        """Lists the user's courses, the latest accessed first.

        `after` leaves out the courses before it and its own course; `limit` is the largest number returned.
        """
        cursor = (after.last_accessed_at, after.course_id) if after else (None, None)
        return _read_result(
            await self.fetch("learners/progress_of_user", user_id, include_completed, *cursor, limit, include_current)
        )

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
