"""Keeps what a worker knows of courses: which lessons count, and which rows the fast path must not judge.

What it knows is as of an epoch. The statement that writes a batch compares it with the stored one, so knowledge that is
old writes nothing and is learnt anew.
"""

import itertools
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from worker.postgres.connection import query
from worker.progress.fold import CourseChange, FoldedBatch

# Required lessons of all courses that are kept, some 190 MB; a course without a version counts as one.
MOST_LESSONS = 1_000_000


@dataclass(frozen=True, slots=True)
class KnownCourse:
    """Holds the newest version of a course, as far as counting needs it. Version 0: the course has none."""

    version: int
    needed: int
    required: frozenset[str]
    in_force: datetime | None  # None: it is the only version
    has_replacements: bool

    def must_judge(self, change: CourseChange) -> bool:
        """Tells whether counting the lessons of a change is not enough, whatever the row says (rules 8 and 9)."""
        return self.has_replacements or (self.in_force is not None and change.started_at < self.in_force)


WITHOUT_VERSION = KnownCourse(0, 0, frozenset(), None, False)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Holds what a worker knows of the courses of one batch, as of one epoch."""

    epoch: int
    courses: Mapping[int, KnownCourse]  # by UUID.int, because hashing UUIDs runs Python code

    def get(self, course_id: UUID) -> KnownCourse:
        return self.courses[course_id.int] if self.epoch else WITHOUT_VERSION

    @property
    def has_version(self) -> bool:
        """Tells whether a course of the batch has a version."""
        return any(course.version for course in self.courses.values())


class KnownCourses:
    """Knows courses as of one epoch, for all lanes of a worker. It forgets those that were not asked for longest."""

    def __init__(self) -> None:
        self.epoch = 0  # as long as nobody has published a version
        self._courses: OrderedDict[int, KnownCourse] = OrderedDict()
        self._size = 0

    def forget(self, epoch: int) -> None:
        """Forgets everything if another epoch than this one is known."""
        if epoch != self.epoch:
            self.epoch = epoch
            self._courses.clear()
            self._size = 0

    async def learn(self, connection: asyncpg.Connection, folded: FoldedBatch) -> Knowledge:
        """Returns what is known of the courses of a batch, and reads the others; none while none has a version."""
        while epoch := self.epoch:
            courses = {course.int: course for _, course in itertools.chain(folded.courses, folded.resets)}
            found = {number: self._courses[number] for number in courses if number in self._courses}
            for number in found:
                self._courses.move_to_end(number)
            unknown = [course for number, course in courses.items() if number not in found]
            if not unknown:
                return Knowledge(epoch, found)
            rows = await connection.fetch(query("progress/known_courses"), unknown)
            if epoch == self.epoch == rows[0]["epoch"]:
                read = dict.fromkeys((course.int for course in unknown), WITHOUT_VERSION)
                read |= {row["course_id"].int: _build(row) for row in rows if row["course_id"]}
                self._keep(read)
                return Knowledge(epoch, found | read)
            self.forget(rows[0]["epoch"])
        return Knowledge(0, {})

    def _keep(self, courses: Mapping[int, KnownCourse]) -> None:
        for number, course in courses.items():
            if number not in self._courses:  # the other lane may have read it meanwhile
                self._courses[number] = course
                self._size += len(course.required) or 1
        while self._size > MOST_LESSONS:
            _, forgotten = self._courses.popitem(last=False)
            self._size -= len(forgotten.required) or 1


def _build(row: asyncpg.Record) -> KnownCourse:
    required = frozenset(row["required"])
    return KnownCourse(row["version"], row["needed"], required, row["in_force"], row["has_replacements"])
