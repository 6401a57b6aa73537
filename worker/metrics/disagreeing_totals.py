"""Keeps the courses in which events lately said another total than the newest version needs.

Pure: callers pass the times. Bounded. Prometheus counts them alone, because no label names a course.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

MOST_COURSES = 10  # so that the worker's row in worker_status stays small
LATELY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DisagreeingTotal:
    """Says that an event of the course had this total, and when a worker applied it."""

    course_id: UUID
    total: int
    needed: int  # by the newest version of the course
    at: datetime


class DisagreeingTotals:
    """Keeps the latest of each course, of MOST_COURSES courses."""

    def __init__(self) -> None:
        self._by_course: dict[UUID, DisagreeingTotal] = {}  # the latest last

    def note(self, found: DisagreeingTotal) -> None:
        """Notes the latest of its course. It forgets the course that was noted longest ago when there are too many."""
        self._by_course.pop(found.course_id, None)
        self._by_course[found.course_id] = found
        if len(self._by_course) > MOST_COURSES:
            del self._by_course[next(iter(self._by_course))]

    def list_latest(self, now: datetime) -> list[DisagreeingTotal]:
        """Lists those that are not older than LATELY, the latest first."""
        return [found for found in reversed(self._by_course.values()) if now - found.at <= LATELY]
