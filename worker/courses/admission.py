"""Decides whether a course, or a lesson of it, is known: callers of the HTTP API may invent both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from worker.errors import DatabaseUnavailable
from worker.learners.reads import ProgressReader

Unknown = Literal["course", "lesson"]
UnknownCourses = Literal["auto", "trust", "refuse"]


@dataclass(frozen=True, slots=True)
class Found:
    """Says what of a course and a lesson is unknown (None: nothing is), and the course's newest version."""

    unknown: Unknown | None
    version: int  # 0: it has none, or the database is away


class Admission:
    """Asks the database at every call, so that a version counts as soon as it is stored.

    A lesson is unknown if its course has versions and none names it. A course without a version is unknown by the
    setting: never (`trust`), always (`refuse`), or once any course has a version (`auto`).
    """

    def __init__(self, unknown_courses: UnknownCourses) -> None:
        self._unknown_courses = unknown_courses
        self._any_version = False  # as the database last said

    async def find_unknown(
        self, reads: ProgressReader, named: Sequence[tuple[UUID, str | None]]
    ) -> list[Unknown | None]:
        """Tells of each course, with or without a lesson, what is unknown; None: nothing is. Raises as `look_up`."""
        return [found.unknown for found in await self.look_up(reads, named)]

    async def look_up(self, reads: ProgressReader, named: Sequence[tuple[UUID, str | None]]) -> list[Found]:
        """Looks up each course, with or without a lesson.

        Without PostgreSQL nothing is unknown, because a write needs Kafka alone, and an unknown lesson counts for
        nothing anyway. Raises DatabaseUnavailable where a course without a version would be refused.
        """
        if not named:
            return []
        columns = [course for course, _ in named], [lesson for _, lesson in named]
        try:
            rows = await reads.fetch("courses/admission", *columns)
        except DatabaseUnavailable:
            if self._must_have_version():
                raise
            return [Found(None, 0)] * len(named)
        self._any_version = rows[0]["any_version"]
        return [Found(self._judge(row), row["version"]) for row in rows]

    def _judge(self, row: Any) -> Unknown | None:
        if not row["version"]:
            return "course" if self._must_have_version() else None
        return None if row["names_lesson"] else "lesson"

    def _must_have_version(self) -> bool:
        return self._unknown_courses == "refuse" or (self._unknown_courses == "auto" and self._any_version)
