"""Generates progress rows, which SQL and Python name alike, and the events of their learners. Pure, and seeded."""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeAlias
from uuid import UUID

from events.models import CourseAccessed, LessonCompleted, LessonEvent, LessonUncompleted

COURSES = 5000
START = datetime(2026, 6, 1, tzinfo=UTC)  # the rows that are there beforehand are older
# As in 22,000 statements of real learners (tests/e2e/test_real_learners.py), where 2,000 in a row touch 706 to 802
# progress rows: the learners at work at a time, and the number of events after which one leaves.
AT_WORK, STAY_FOR = 200, 3.4

Happened: TypeAlias = tuple[LessonEvent, datetime]


@dataclass(frozen=True, slots=True)
class Rows:
    """Describes progress rows: each has `done` of `lessons` lessons completed, and a user has `per_user` of them."""

    rows: int
    lessons: int = 40
    done: int = 20
    per_user: int = 1
    users: str = "user"  # tells groups of rows apart
    courses: int = COURSES
    version: int = 0  # of the courses, by which the rows are counted

    def key(self, number: int) -> tuple[UUID, UUID]:
        """Returns user and course of the row with this number, from 0: random like real ids, as fill_progress.sql."""
        return _uuid(f"{self.users}-{number // self.per_user}"), _uuid(f"course-{self._course(number)}")

    def _course(self, number: int) -> int:
        user, slot = divmod(number, self.per_user)
        return (user * 17 + slot) % self.courses

    @property
    def course_ids(self) -> list[UUID]:
        """Returns the courses that the rows are of."""
        return [_uuid(f"course-{number}") for number in sorted({self._course(each) for each in range(self.rows)})]

    def event(self, rng: random.Random, number: int, lesson: int) -> LessonEvent:
        """Draws an event for this row: 70 % completed, 25 % accessed, 5 % un-completed."""
        user, course = self.key(number)
        kind = rng.choices([LessonCompleted, CourseAccessed, LessonUncompleted], [70, 25, 5])[0]
        if kind is CourseAccessed:
            return CourseAccessed(user_id=user, course_id=course, lesson_id=lesson_id(lesson))
        return kind(user_id=user, course_id=course, lesson_id=lesson_id(lesson), total_lessons=self.lessons)


Order: TypeAlias = Callable[[Rows, random.Random], Iterator[LessonEvent]]


def lesson_id(number: int) -> str:
    """Returns an id of 36 characters, a usual length."""
    return f"lesson-{number:029}"


def even(rows: Rows, rng: random.Random) -> Iterator[LessonEvent]:
    """Yields events for every row once, in random order, and again: folding a batch gains nothing."""
    numbers = list(range(rows.rows))
    while True:
        rng.shuffle(numbers)
        for number in numbers:
            yield rows.event(rng, number, rng.randrange(rows.lessons))


def bursty(rows: Rows, rng: random.Random) -> Iterator[LessonEvent]:
    """Yields events of learners who come, do some lessons of a course in their order, and leave."""

    def comes() -> tuple[int, int]:
        return rng.randrange(rows.rows), rng.randrange(rows.lessons)

    at_work = [comes() for _ in range(AT_WORK)]
    while True:
        slot = rng.randrange(AT_WORK)
        number, lesson = at_work[slot]
        yield rows.event(rng, number, lesson % rows.lessons)
        at_work[slot] = comes() if rng.random() < 1 / STAY_FOR else (number, lesson + 1)


def strangers() -> Iterator[LessonEvent]:
    """Yields events that each complete a lesson in a progress row of its own."""
    rows = Rows(0, users="stranger")
    for number in count():
        user, course = rows.key(number)
        yield LessonCompleted(user_id=user, course_id=course, lesson_id=lesson_id(0), total_lessons=rows.lessons)


def in_time(events: Iterator[LessonEvent], day: int = 0) -> Iterator[Happened]:
    """Dates the events: one every 20 ms, from START plus `day` days."""
    for number, event in enumerate(events):
        yield event, START + timedelta(days=day, milliseconds=20 * number)


def _uuid(name: str) -> UUID:
    return UUID(hashlib.md5(name.encode()).hexdigest())
