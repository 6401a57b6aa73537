"""Decides whether a learner has room for more: callers of the HTTP API may invent courses and lessons."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from worker.learners.reads import ProgressReader

Full = Literal["courses", "lessons"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """Holds the most that one learner may store: courses, those that were reset among them, and lessons of a course."""

    courses: int
    lessons_per_course: int

    async def find_excess(
        self, reads: ProgressReader, user_id: UUID, named: Sequence[tuple[UUID, str | None]]
    ) -> list[Full | None]:
        """Tells of each course, with or without a lesson, for what the user has no room; None: there is room.

        What the user has already never needs room. Events that no worker has applied yet are not seen, so calls at the
        same time, or while the workers are away, may go beyond the bounds, by as much as the rate limits allow.
        Raises DatabaseUnavailable.
        """
        courses, lessons = [course for course, _ in named], [lesson for _, lesson in named]
        rows = await reads.fetch("learners/allowance", user_id, courses, lessons, self.courses, self.lessons_per_course)
        taken = {row["course_id"]: Taken(row, self) for row in rows}
        left = self.courses - max((row["courses"] or 0 for row in rows), default=0)
        found: list[Full | None] = []
        for course_id, lesson_id in named:
            course = taken[course_id]
            if not course.known and left <= 0:
                found.append("courses")
                continue
            left -= not course.known
            course.known = True
            found.append(None if course.takes(lesson_id) else "lessons")
        return found


class Taken:
    """Counts what one course has, while the lessons of a call are added to it."""

    def __init__(self, row: Any, allowance: Allowance) -> None:
        self.known: bool = row["known"]
        self._new = set(row["new_lessons"])
        self._left = allowance.lessons_per_course - (row["lessons"] or 0)

    def takes(self, lesson_id: str | None) -> bool:
        """Adds the lesson if it is new. Returns whether there is room for it."""
        if lesson_id in self._new:
            if self._left <= 0:
                return False
            self._left -= 1
            self._new.discard(lesson_id)
        return True
