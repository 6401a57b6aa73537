"""Numbers, times and ids are written as people say them."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.web.pages.formatting import (
    UNKNOWN,
    format_ago,
    format_duration,
    format_number,
    format_rate,
    name_lesson,
    plural,
)

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"),
        (0.0004, "1 ms"),
        (0.25, "250 ms"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (3600, "1 hour"),
        (86_399, "23 hours"),
        (90 * 86_400, "90 days"),
    ],
)
def test_a_span_is_said_in_its_largest_unit(seconds: float, said: str) -> None:
    assert format_duration(seconds) == said


@pytest.mark.parametrize(
    ("before", "said"),
    [(timedelta(days=3), "3 days ago"), (timedelta(seconds=59), "just now"), (timedelta(seconds=-5), "just now")],
)
def test_a_moment_is_said_as_how_long_ago_it_was(before: timedelta, said: str) -> None:
    assert format_ago(NOW - before, NOW) == said


def test_one_is_singular() -> None:
    assert [plural(n, "lesson") for n in (0, 1, 2000)] == ["0 lessons", "1 lesson", "2,000 lessons"]


def test_what_is_not_known_is_a_dash() -> None:
    assert [format_rate(None), format_rate(0), format_rate(3.14), format_rate(1234.5)] == [UNKNOWN, "0", "3.1", "1,234"]
    assert [format_number(None), format_number(1234)] == [UNKNOWN, "1,234"]


@pytest.mark.parametrize(
    ("lesson_id", "said"),
    [
        ("intro", "intro"),
        ("5f3b7a52-0d2f-4f0e-9f4e-1d2c3b4a5968", "Lesson 5f3b7a52"),
        ("0199a1b2-0d2f-7f0e-9f4e-1d2c3b4a5969", "Lesson 3b4a5969"),  # version 7 begins with the time
        (
            "https://lms.example/activities/course-1/block/limits",
            "…xample/activities/course-1/block/limits",
        ),
    ],
)
def test_an_id_is_short_enough_to_read(lesson_id: str, said: str) -> None:
    assert name_lesson(lesson_id) == said
