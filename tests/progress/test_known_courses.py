"""What a worker knows of courses tells which totals disagree with them."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from events.models import CourseAccessed, LessonCompleted
from tests.factories import NOW
from worker.metrics import prometheus as metrics
from worker.metrics.disagreeing_totals import DisagreeingTotals
from worker.progress.fold import FoldedBatch, fold
from worker.progress.known_courses import WITHOUT_VERSION, Knowledge, KnownCourse
from worker.stream.outcome import Occurrence

PLAIN, VERSIONED = UUID(int=1), UUID(int=2)


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> DisagreeingTotals:
    monkeypatch.setattr(metrics, "DISAGREEING_TOTALS", DisagreeingTotals())
    return metrics.DISAGREEING_TOTALS


def known(epoch: int = 1) -> Knowledge:
    versioned = KnownCourse(2, 3, frozenset("abcd"), None, False)
    return Knowledge(epoch, {PLAIN.int: WITHOUT_VERSION, VERSIONED.int: versioned} if epoch else {})


def batch(*totals: int, course: UUID = VERSIONED) -> FoldedBatch:
    """Folds an event per total, all of one learner, a second apart."""
    user = uuid4()
    events = [LessonCompleted(user_id=user, course_id=course, lesson_id="a", total_lessons=total) for total in totals]
    return fold([Occurrence(NOW + timedelta(seconds=n), event, "t", 0) for n, event in enumerate(events)])


def count(courses: Knowledge, folded: FoldedBatch) -> float:
    """Returns by how much the metric grows."""
    before = metrics.TOTAL_DISAGREES._value.get()
    courses.note_totals(folded)
    return float(metrics.TOTAL_DISAGREES._value.get() - before)


def test_a_total_that_the_newest_version_does_not_need_is_counted_once_per_row(noted: DisagreeingTotals) -> None:
    assert count(known(), batch(9, 8, 4)) == 1

    [found] = noted._by_course.values()
    assert (found.course_id, found.total, found.needed) == (VERSIONED, 4, 3)


@pytest.mark.parametrize(
    "folded",
    [
        batch(9, 3),
        batch(9, course=PLAIN),
        fold([Occurrence(NOW, CourseAccessed(user_id=uuid4(), course_id=VERSIONED), "t", 0)]),
    ],
    ids=["what is needed", "a course without a version", "an event without a total"],
)
def test_nothing_else_is_counted(noted: DisagreeingTotals, folded: FoldedBatch) -> None:
    assert count(known(), folded) == 0
    assert noted._by_course == {}


def test_as_long_as_nobody_has_published_a_version_nothing_is_looked_at(noted: DisagreeingTotals) -> None:
    assert count(known(epoch=0), batch(9)) == 0
