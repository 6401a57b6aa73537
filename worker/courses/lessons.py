"""Which lessons a course has, as far as learners' events tell."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

LEARNERS_ASKED = 200  # whose lessons tell which a course has: some 10 ms, also of a course of thousands
COMMON_KEPT, COMMON_KEPT_S = 1000, 60  # courses


@dataclass(frozen=True, slots=True)
class LessonState:
    """A lesson of a course, and when the learner completed it; None: not, or no longer."""

    lesson_id: str
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class CourseLessons:
    """What is known of a course's lessons, in the order in which learners do them.

    There is no catalog: `lessons` are the learner's own and those of enough others, at times more than
    `total_lessons`, which is what the latest event said, and often fewer.
    """

    total_lessons: int | None  # None: no event has told yet
    lessons: tuple[LessonState, ...]


def in_order(own: Iterable[LessonState], common: Iterable[str]) -> tuple[LessonState, ...]:
    """The common lessons in their order, then what the learner alone knows."""
    left = {state.lesson_id: state for state in own}
    first = [left.pop(lesson_id, LessonState(lesson_id, None)) for lesson_id in common]
    return (*first, *left.values())
