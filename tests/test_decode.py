"""What a record says, or why it can never be applied."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from events.kinds import Kind
from tests.factories import APPENDED, EVENT, record
from worker.decode import decode
from worker.stream.outcome import Occurrence, Rejected, Skipped


def with_header(name: str, value: bytes) -> list[tuple[str, bytes]]:
    return [*((n, v) for n, v in record().headers if n != name), (name, value)]


def test_a_valid_record_is_its_event_and_the_time_it_happened() -> None:
    yesterday = APPENDED - timedelta(days=1)

    assert decode(record(yesterday)) == Occurrence(yesterday, EVENT, "lesson-events", 3)


@pytest.mark.parametrize(
    ("ahead", "taken"),
    [
        (timedelta(minutes=5), APPENDED + timedelta(minutes=5)),
        (timedelta(minutes=5, microseconds=1), APPENDED),
        (timedelta(days=4000), APPENDED),
    ],
)
def test_a_clock_more_than_five_minutes_ahead_of_the_record_is_clamped_to_it(ahead: timedelta, taken: datetime) -> None:
    outcome = decode(record(APPENDED + ahead))

    assert isinstance(outcome, Occurrence)
    assert (outcome.occurred_at, outcome.clamped) == (taken, taken == APPENDED)


def test_a_time_before_2000_is_rejected() -> None:
    outcome = decode(record(datetime(1999, 12, 31, 23, 59, tzinfo=UTC)))

    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.kind) == ("time: 1999-12-31 is before 2000-01-01", Kind.TIME)


def test_what_is_no_event_is_rejected_with_its_record() -> None:
    broken = record(value=b"{")

    outcome = decode(broken)

    assert isinstance(outcome, Rejected)
    assert outcome.record is broken


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"value": b"{"}, Kind.NOT_JSON),
        ({"value": b"[]"}, Kind.NOT_JSON),
        ({"value": b"[]", "headers": []}, Kind.NOT_JSON),
        ({"value": b"{}"}, Kind.SCHEMA),
        ({"value": b"{}", "headers": []}, Kind.ENVELOPE),
        ({"headers": [*record().headers, ("ce_id", b"2")]}, Kind.ENVELOPE),
        ({"value": b'{"id": "1", "type": "CourseAccessed", "time": "noon"}', "headers": []}, Kind.TIME),
        ({"headers": with_header("ce_specversion", b"2.0")}, Kind.VERSION),
        ({"headers": with_header("ce_dataschema", b"urn:course-progress:CourseAccessed:2.0")}, Kind.VERSION),
    ],
)
def test_a_rejection_is_of_a_kind(changed: dict[str, Any], kind: Kind) -> None:
    outcome = decode(record(**changed))

    assert isinstance(outcome, Rejected)
    assert outcome.kind is kind


def test_a_kind_that_nobody_knows_is_unknown() -> None:
    assert Kind("from a newer worker") is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"value": None}, "tombstone"),
        (
            {"headers": [], "value": b'{"id": "1", "type": "LessonRated", "time": "2026-11-22T00:00Z"}'},
            "unknown type",
        ),
    ],
)
def test_what_says_nothing_to_this_worker_is_skipped(changed: dict[str, Any], reason: str) -> None:
    assert decode(record(**changed)) == Skipped(reason)


@pytest.mark.parametrize("timestamp_ms", [-(10**14), -2, 0])
def test_a_record_from_before_2000_by_its_own_timestamp_is_rejected(timestamp_ms: int) -> None:
    assert isinstance(decode(record(timestamp=timestamp_ms)), Rejected)


@pytest.mark.parametrize("timestamp_ms", [-1, 10**17])
def test_without_a_timestamp_that_can_be_earlier_nothing_is_clamped(timestamp_ms: int) -> None:
    assert decode(record(timestamp=timestamp_ms)) == Occurrence(APPENDED, EVENT, "lesson-events", 3)
