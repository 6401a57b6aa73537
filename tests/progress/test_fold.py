"""Folding a batch: pure, and without regard to order. The real SQL is tested in test_rules.py."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.models import CourseAccessed, LessonCompleted, LessonEvent, ProgressReset
from worker.progress.fold import FoldedBatch, fold
from worker.stream.outcome import Occurrence

USER, COURSE = uuid4(), uuid4()


def occurrence(event: LessonEvent, hour: int) -> Occurrence:
    return Occurrence(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour), event, "lesson-events", 0)


def lesson_events() -> st.SearchStrategy[Occurrence]:
    event = st.builds(
        LessonCompleted,
        user_id=st.just(USER),
        course_id=st.just(COURSE),
        lesson_id=st.sampled_from("ab"),
        total_lessons=st.integers(1, 3),
    )
    offsets = st.sampled_from([-480, 0, 60])
    return st.builds(
        lambda o, offset: o._replace(utc_offset=offset), st.builds(occurrence, event, st.integers(0, 5)), offsets
    )


@given(st.lists(lesson_events(), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_and_repetition_of_completions_make_no_difference(events: list[Occurrence], rng) -> None:  # type: ignore[no-untyped-def]
    shuffled = events + events[:2]
    rng.shuffle(shuffled)

    assert known_of(fold(shuffled)) == known_of(fold(events))


def known_of(folded: FoldedBatch) -> Any:
    return {
        key: replace(change, lessons={id: set(lesson.completions) for id, lesson in change.lessons.items()})
        for key, change in folded.courses.items()
    }


@pytest.mark.parametrize(
    ("causes", "cause"),
    [
        ([None], "learner"),
        (["imported", "imported"], "imported"),
        (["imported", None, "waived"], "learner"),
        (["imported", "waived"], "waived"),
        (["migrated", "imported"], "imported"),
        (["learner", "imported"], "learner"),
    ],
)
def test_of_several_causes_the_learner_comes_first(causes: list[str | None], cause: str) -> None:
    event = CourseAccessed(user_id=USER, course_id=COURSE)
    folded = fold([occurrence(event, hour)._replace(cause=cause) for hour, cause in enumerate(causes)])

    assert folded.courses[USER, COURSE].cause == cause


def test_events_up_to_a_reset_in_the_batch_do_not_count() -> None:
    completed = LessonCompleted(user_id=USER, course_id=COURSE, lesson_id="a", total_lessons=1)
    reset = ProgressReset(user_id=USER, course_id=COURSE)
    folded = fold([occurrence(completed, 2), occurrence(reset, 2), occurrence(reset, 1)])

    assert folded.courses == {}
    assert folded.resets[USER, COURSE].reset_at == occurrence(reset, 2).occurred_at


def test_rows_come_in_key_order_so_that_two_workers_lock_them_alike() -> None:
    users = [UUID(int=n) for n in (3, 1, 2)]
    folded = fold(
        [occurrence(LessonCompleted(user_id=u, course_id=COURSE, lesson_id="a", total_lessons=1), 1) for u in users]
    )

    assert [user for user, _ in folded.courses] == sorted(users)
