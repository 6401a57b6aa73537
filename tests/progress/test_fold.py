"""Folding a batch: pure, and without regard to order. The real SQL is tested in test_rules.py."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from events.models import LessonCompleted, LessonEvent, LessonUncompleted, ProgressReset
from worker.progress.fold import fold
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
    return st.builds(occurrence, event, st.integers(0, 5))


@given(st.lists(lesson_events(), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_and_repetition_of_completions_make_no_difference(events: list[Occurrence], rng) -> None:  # type: ignore[no-untyped-def]
    shuffled = events + events[:2]
    rng.shuffle(shuffled)

    assert fold(shuffled) == fold(events)


def test_an_interruption_within_one_batch_is_remembered() -> None:
    completed = LessonCompleted(user_id=USER, course_id=COURSE, lesson_id="a", total_lessons=1)
    undone = LessonUncompleted(user_id=USER, course_id=COURSE, lesson_id="a", total_lessons=1)
    folded = fold([occurrence(completed, 1), occurrence(undone, 2), occurrence(completed, 3)])

    lesson = folded.courses[USER, COURSE].lessons["a"]
    assert lesson.first_completed_at == occurrence(completed, 3).occurred_at


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
