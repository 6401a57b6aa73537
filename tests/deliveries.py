"""Draws histories of events, and the orders, repetitions and batches in which a worker may see them."""

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, assume
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.catalog import CatalogLesson, CoursePublished
from events.models import (
    CourseAccessed,
    LessonCompleted,
    LessonEvent,
    LessonUncompleted,
    LessonWaived,
    LessonWaiverWithdrawn,
    ProgressReset,
)
from tests.factories import COURSE, OTHER_USER, USER, at

LESSONS = ["ä", "b", "c"]
GRAPH_LESSONS = ["ä", "b", "c", "d"]


def events(*kinds: type[LessonEvent]) -> st.SearchStrategy[tuple[LessonEvent, datetime]]:
    """Draws an event of these kinds, with its time. Few lessons, totals and instants exist, so that they meet."""
    ids = {"user_id": st.sampled_from([USER, OTHER_USER]), "course_id": st.just(COURSE)}
    lesson = {"lesson_id": st.sampled_from(LESSONS), "total_lessons": st.sampled_from([None, 1, 2, 2, 2, 3])}
    fields: dict[type[LessonEvent], dict[str, Any]] = {
        LessonCompleted: lesson,
        LessonUncompleted: lesson,
        CourseAccessed: {
            "lesson_id": st.none() | st.sampled_from(LESSONS),
            "total_lessons": st.sampled_from([None, None, 1, 2]),
        },
        ProgressReset: {},
        LessonWaived: {"lesson_id": st.sampled_from(LESSONS), "reason": st.sampled_from(["ill", "known"])},
        LessonWaiverWithdrawn: {"lesson_id": st.sampled_from(LESSONS)},
    }
    chosen = [st.builds(kind, **ids, **fields[kind]) for kind in kinds]
    return st.tuples(st.one_of(chosen), st.integers(0, 8).map(at))


ALL_KINDS = (LessonCompleted, LessonCompleted, LessonUncompleted, CourseAccessed, ProgressReset)


@dataclass(frozen=True)
class Delivery:
    """Holds events as they happened, and the same events in an order, repetition and batches that a worker may see."""

    happened: list[tuple[LessonEvent, datetime]]
    batches: list[list[tuple[LessonEvent, datetime]]]


@st.composite
def deliveries(draw: st.DrawFn, *kinds: type[LessonEvent]) -> Delivery:
    happened = draw(st.lists(events(*kinds), min_size=1, max_size=12))
    repeated = draw(st.lists(st.sampled_from(happened), max_size=4))
    arriving = draw(st.permutations(happened + repeated))
    cuts = sorted(draw(st.sets(st.integers(1, len(arriving)), max_size=4)) | {0, len(arriving)})
    return Delivery(happened, [arriving[a:b] for a, b in itertools.pairwise(cuts)])


@st.composite
def draw_graphs(draw: st.DrawFn) -> list[tuple[CoursePublished, datetime]]:
    """Draws up to three versions of one course, whose lessons require and replace each other."""
    numbers = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True))
    return [(draw(draw_graph(number)), at(draw(st.integers(0, 8)))) for number in numbers]


@st.composite
def draw_graph(draw: st.DrawFn, number: int) -> CoursePublished:
    ids = draw(st.lists(st.sampled_from(GRAPH_LESSONS), min_size=1, unique=True))
    order = draw(st.permutations(ids))  # each may require those before it
    lessons = [
        CatalogLesson(
            lesson_id=id,
            title=draw(st.none() | st.just(f"Lesson {id}")),
            required=draw(st.sampled_from([True, True, False])),
            requires=tuple(draw(st.lists(st.sampled_from(order[: order.index(id)]), unique=True)))
            if order.index(id)
            else (),
            replaces=tuple(draw(st.sampled_from([[], [], [name for name in GRAPH_LESSONS if name != id][:1]]))),
        )
        for id in ids
    ]
    assume(any(lesson.required for lesson in lessons))
    return CoursePublished(course_id=COURSE, version=number, lessons=tuple(lessons))


real_sql = hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
