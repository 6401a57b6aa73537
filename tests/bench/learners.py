"""Who learns what: progress rows that SQL and Python name alike, and what their learners do. Pure, and seeded."""

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
# progress rows: so many are at work at a time, and leave after so many events.
AT_WORK, STAY_FOR = 200, 3.4

Happened: TypeAlias = tuple[LessonEvent, datetime]


@dataclass(frozen=True, slots=True)
class Rows:
    """Progress rows: `done` of `lessons` lessons are completed in each, and a user has `per_user` of them."""

    rows: int
    lessons: int = 40
    done: int = 20
    per_user: int = 1
    users: str = "user"  # tells groups of rows apart

    def key(self, number: int) -> tuple[UUID, UUID]:
        """User and course of a row, numbered from 0: random as real ids are, and those of fill_progress.sql."""
        user, slot = divmod(number, self.per_user)
        return _uuid(f"{self.users}-{user}"), _uuid(f"course-{(user * 17 + slot) % COURSES}")

    def event(self, rng: random.Random, number: int, lesson: int) -> LessonEvent:
        """70 % completed, 25 % accessed, 5 % un-completed."""
        user, course = self.key(number)
        kind = rng.choices([LessonCompleted, CourseAccessed, LessonUncompleted], [70, 25, 5])[0]
        if kind is CourseAccessed:
            return CourseAccessed(user_id=user, course_id=course, lesson_id=lesson_id(lesson))
        return kind(user_id=user, course_id=course, lesson_id=lesson_id(lesson), total_lessons=self.lessons)


Order: TypeAlias = Callable[[Rows, random.Random], Iterator[LessonEvent]]


def lesson_id(number: int) -> str:
    """36 characters, as an id often has."""
    return f"lesson-{number:029}"


def even(rows: Rows, rng: random.Random) -> Iterator[LessonEvent]:
    """Every row once, in random order, and again: folding helps nobody."""
    numbers = list(range(rows.rows))
    while True:
        rng.shuffle(numbers)
        for number in numbers:
            yield rows.event(rng, number, rng.randrange(rows.lessons))


def bursty(rows: Rows, rng: random.Random) -> Iterator[LessonEvent]:
    """Learners come, do some lessons of a course in their order, and leave."""

    def comes() -> tuple[int, int]:
        return rng.randrange(rows.rows), rng.randrange(rows.lessons)

    at_work = [comes() for _ in range(AT_WORK)]
    while True:
        slot = rng.randrange(AT_WORK)
        number, lesson = at_work[slot]
        yield rows.event(rng, number, lesson % rows.lessons)
        at_work[slot] = comes() if rng.random() < 1 / STAY_FOR else (number, lesson + 1)


def strangers() -> Iterator[LessonEvent]:
    """Each event completes a lesson in a progress row of its own."""
    rows = Rows(0, users="stranger")
    for number in count():
        user, course = rows.key(number)
        yield LessonCompleted(user_id=user, course_id=course, lesson_id=lesson_id(0), total_lessons=rows.lessons)


def in_time(events: Iterator[LessonEvent], day: int = 0) -> Iterator[Happened]:
    """One each 20 ms, from the start of a day on."""
    for number, event in enumerate(events):
        yield event, START + timedelta(days=day, milliseconds=20 * number)


def _uuid(name: str) -> UUID:
    return UUID(hashlib.md5(name.encode()).hexdigest())
