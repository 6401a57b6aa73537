"""Draws random courses with several versions, and the events of their learners."""

import random
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from events.models import (
    CourseAccessed,
    LessonCompleted,
    LessonEvent,
    LessonUncompleted,
    LessonWaived,
    LessonWaiverWithdrawn,
    ProgressReset,
)
from tests.catalogs import Published, draw_version
from tests.factories import Happened, at

T = TypeVar("T")
LESSONS = ["ä", "b", "c", "d", "e"]
HOURS = 12  # few, so that events and publications meet
KINDS: dict[type[LessonEvent], int] = {
    LessonCompleted: 70,
    LessonUncompleted: 10,
    LessonWaived: 4,
    LessonWaiverWithdrawn: 4,
    CourseAccessed: 8,
    ProgressReset: 4,
}


def draw_event(rng: random.Random, user: UUID, course: UUID) -> LessonEvent:
    [kind] = rng.choices(list(KINDS), list(KINDS.values()))
    values = {"user_id": user, "course_id": course, "lesson_id": rng.choice(LESSONS), "reason": "known"}
    total = rng.choice([None, 1, 2, 5])
    return kind.model_validate({**values, "total_lessons": total})  # which takes of these what it has


def draw_history(rng: random.Random, course: UUID) -> list[Happened]:
    """Draws the events of one learner in the course."""
    user = UUID(int=rng.getrandbits(128))
    return [(draw_event(rng, user, course), at(rng.randrange(HOURS))) for _ in range(rng.randint(1, 9))]


def draw_course(rng: random.Random, learners: int) -> tuple[list[Published], list[Happened]]:
    """Draws up to four versions of a course, with any numbers, and the events of so many learners."""
    course = UUID(int=rng.getrandbits(128))
    numbers = rng.sample(range(1, 6), rng.randint(1, 4))
    published = [(draw_version(rng, course, number, LESSONS), at(rng.randrange(HOURS))) for number in numbers]
    return published, [event for _ in range(learners) for event in draw_history(rng, course)]


def cut(rng: random.Random, values: Sequence[T], size: int) -> list[Sequence[T]]:
    """Cuts values, in a random order, into pieces of this size."""
    shuffled = rng.sample(values, len(values))
    return [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
