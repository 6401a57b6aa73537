"""Simulates the owner of the courses, who publishes what they consist of and changes one of them later. Pure.

It reads no clock.
"""

from datetime import datetime, timedelta

from events import CatalogLesson, CoursePublished
from worker.demo.catalog import name_lessons
from worker.demo.player import COURSES, Course

SECOND_AFTER_S = 30.0
CHANGED, OPTIONAL = COURSES[4], 3  # a course, and how many of its last lessons become optional


class Author:
    """Publishes a version of each course in its first turn, and a second one of CHANGED after a while."""

    def __init__(self, second_after_s: float = SECOND_AFTER_S) -> None:
        *self._first, self._second = list_versions()
        self._second_after = timedelta(seconds=second_after_s)
        self._second_at: datetime | None = None  # None: nothing is published yet
        self._done = False

    def turn(self, now: datetime) -> list[CoursePublished]:
        """Returns the versions that are to be published now."""
        if self._second_at is None:
            self._second_at = now + self._second_after
            return self._first
        if self._done or now < self._second_at:
            return []
        self._done = True
        return [self._second]


def build_version(course: Course, version: int = 1, optional: int = 0) -> CoursePublished:
    """Describes a course, of which so many lessons at the end are optional."""
    lessons = name_lessons(course)
    needed = len(lessons) - optional
    return CoursePublished(
        course_id=course.id,
        version=version,
        title=course.title,
        lessons=tuple(
            CatalogLesson(lesson_id=lesson.id, title=lesson.title, required=place < needed)
            for place, lesson in enumerate(lessons)
        ),
    )


def list_versions() -> list[CoursePublished]:
    """Lists every version that a demo publishes, the second one last."""
    return [*map(build_version, COURSES), build_version(CHANGED, version=2, optional=OPTIONAL)]


def describe(version: CoursePublished) -> str:
    """Says what a version changes; empty for a first one."""
    change = f"its last {OPTIONAL} lessons are optional now"
    return f"version {version.version} of {version.title}: {change}" if version.version > 1 else ""
