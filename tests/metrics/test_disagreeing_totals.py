"""The courses whose events lately disagreed are few, the latest, and not old."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from worker.metrics.disagreeing_totals import LATELY, MOST_COURSES, DisagreeingTotal, DisagreeingTotals

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def noted(*found: tuple[int, int]) -> DisagreeingTotals:
    """Notes totals of numbered courses, a second apart, the last one now."""
    totals = DisagreeingTotals()
    for place, (course, total) in enumerate(found, start=1):
        totals.note(DisagreeingTotal(UUID(int=course), total, 3, NOW - timedelta(seconds=len(found) - place)))
    return totals


def listed(totals: DisagreeingTotals, later: timedelta = timedelta(0)) -> list[tuple[int, int]]:
    return [(found.course_id.int, found.total) for found in totals.list_latest(NOW + later)]


def test_of_each_course_the_latest_counts_and_the_latest_course_is_first() -> None:
    assert listed(noted((1, 5), (2, 6), (1, 7))) == [(1, 7), (2, 6)]


def test_of_many_courses_those_that_were_noted_last_are_kept() -> None:
    many = noted(*[(course, 5) for course in range(MOST_COURSES + 5)])

    assert listed(many) == [(course, 5) for course in reversed(range(5, MOST_COURSES + 5))]


def test_what_is_old_is_left_out() -> None:
    assert listed(noted((1, 5), (2, 5)), LATELY - timedelta(milliseconds=500)) == [(2, 5)]
