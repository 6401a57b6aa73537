"""What PostgreSQL knows of a learner's progress, and when it knew it."""

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
    """One user in one course: a row of course_progress."""

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
    """Over all courses of one user."""

    total_courses: int
    completed_courses: int
    in_progress_courses: int
    lessons_completed: int
    average_percentage: int  # to the nearest whole number


@dataclass(frozen=True, slots=True)
class ReadResult(Generic[T]):
    """A value, and a time by the database's clock: what was committed before it is in the value."""

    as_of: datetime
    value: T


@dataclass(frozen=True, slots=True)
class ListCursor:
    """Between two courses of a user's list: after this one."""

    last_accessed_at: datetime
    course_id: UUID


class ProgressReader:
    """Over a pool of connections. Every method is one query, and raises DatabaseUnavailable or SetupError."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_courses(self, user_id: UUID, course_ids: Iterable[UUID]) -> ReadResult[dict[UUID, CourseProgress]]:
        """By course id, without those that have no progress."""
        read = _progress(await self.fetch("learners/progress_of_courses", user_id, list(course_ids)))
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
        """The latest accessed first; those after a place, and at most so many of them."""
        place = (after.last_accessed_at, after.course_id) if after else (None, None)
        return _progress(
            await self.fetch("learners/progress_of_user", user_id, include_completed, *place, limit, include_current)
        )

    async def read_stats(self, user_id: UUID) -> ReadResult[ProgressStats]:
        """Zeros for a user without progress."""
        [row] = await self.fetch("learners/progress_stats", user_id)
        values = dict(row)
        return ReadResult(values.pop("as_of"), ProgressStats(**values))

    async def read_marks(self, user_ids: Collection[UUID]) -> dict[UUID, int]:
        """Of each user with progress a number, another one whenever a row of theirs came, went or changed."""
        return {row["user_id"]: row["mark"] for row in await self.fetch("learners/progress_marks", list(user_ids))}

    async def fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of `worker/<name>.sql`. Raises ValueRefused too."""
        return await self._pool.fetch(query(name), *arguments)


def _progress(rows: list[asyncpg.Record]) -> ReadResult[list[CourseProgress]]:
    found = [dict(row) for row in rows if row["course_id"] is not None]
    for values in found:
        del values["as_of"]
        values["completed_lessons"] = tuple(values["completed_lessons"])
    return ReadResult(rows[0]["as_of"], [CourseProgress(**values) for values in found])
