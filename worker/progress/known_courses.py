"""Keeps what a worker knows of courses: which lessons count, and which rows the fast path must not judge.

What it knows is as of an epoch. The statement that writes a batch compares it with the stored one, so knowledge that is
old writes nothing and is learnt anew.
"""

import itertools
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from worker.metrics import prometheus as metrics
from worker.metrics.disagreeing_totals import DisagreeingTotal
from worker.postgres.connection import query
from worker.progress.fold import CourseChange, FoldedBatch

MOST_LESSONS = 1_000_000  # required lessons of all courses that are kept; a course without a version counts as one


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


class KnownCourses:
    """Knows courses as of one epoch. It forgets those that were not asked for longest."""

    def __init__(self) -> None:
        self.epoch = 0  # as long as nobody has published a version
        self._courses: OrderedDict[int, KnownCourse] = OrderedDict()  # by UUID.int, because comparing UUIDs is slow
        self._size = 0

    def forget(self, epoch: int) -> None:
        """Forgets everything, because `epoch` is stored."""
        self.epoch = epoch
        self._courses.clear()
        self._size = 0

    async def learn(self, connection: asyncpg.Connection, folded: FoldedBatch) -> None:
        """Learns of those courses of a batch that are not known; as long as no course has a version, of none."""
        unknown = {course.int: course for course in self._list_courses(folded) if course.int not in self._courses}
        if not unknown:
            return
        rows = await connection.fetch(query("progress/known_courses"), list(unknown.values()))
        if rows[0]["epoch"] != self.epoch:
            self.forget(rows[0]["epoch"])
            await self.learn(connection, folded)
            return
        found = {row["course_id"]: row for row in rows}
        for course in unknown.values():
            self._keep(course, _build(found[course]) if course in found else WITHOUT_VERSION)

    def has_version(self, folded: FoldedBatch) -> bool:
        """Tells whether a course of a batch that was learnt of has a version."""
        return any(self.get(course).version for course in self._list_courses(folded))

    def _list_courses(self, folded: FoldedBatch) -> Iterator[UUID]:
        if self.epoch:
            for _, course in itertools.chain(folded.courses, folded.resets):
                yield course

    def get(self, course_id: UUID) -> KnownCourse:
        """Returns a course that was learnt of."""
        if not self.epoch:
            return WITHOUT_VERSION
        self._courses.move_to_end(course_id.int)
        return self._courses[course_id.int]

    def note_totals(self, folded: FoldedBatch) -> None:
        """Notes the rows of an applied batch whose latest total is not what the newest version needs.

        Such a total decides nothing, and tells that a player is behind the catalog or ahead of it. A row counts once,
        however many of its events are in the batch.
        """
        if not self.epoch:
            return
        for (_, course_id), change in folded.courses.items():
            course = self._courses[course_id.int]
            if course.version and change.total is not None and change.total[1] != course.needed:
                metrics.TOTAL_DISAGREES.inc()
                found = DisagreeingTotal(course_id, change.total[1], course.needed, datetime.now(UTC))
                metrics.DISAGREEING_TOTALS.note(found)

    def _keep(self, course_id: UUID, course: KnownCourse) -> None:
        self._courses[course_id.int] = course
        self._size += len(course.required) or 1

    def shrink(self) -> None:
        """Forgets courses until few enough are left. Called between batches."""
        while self._size > MOST_LESSONS:
            _, course = self._courses.popitem(last=False)
            self._size -= len(course.required) or 1


def _build(row: asyncpg.Record) -> KnownCourse:
    required = frozenset(row["required"])
    return KnownCourse(row["version"], row["needed"], required, row["in_force"], row["has_replacements"])
