"""What a record says, or why it can never be applied."""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest

from events.envelope import binary
from events.kinds import Kind
from events.learners import LearnerDescribed
from tests.factories import APPENDED, EVENT, record
from worker.decode import decode, decode_learner
from worker.stream.cut_record import KEPT_HEADERS, KEPT_KEY, KEPT_VALUE, LARGEST_RECORD, cut, measure
from worker.stream.outcome import Occurrence, Record, Rejected, Skipped


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


def learner_record(value: bytes | None = None, at: datetime = APPENDED) -> Record:
    event = LearnerDescribed(user_id=uuid4(), name="Zuleikha Quisling", email="zuleikha@mail.example")
    headers, good = binary(event, id="1", time=at, source="tests")
    return record(topic="learners", value=value or good, headers=headers)


def test_a_description_of_a_learner_is_an_event_of_learners_and_of_no_other_topic() -> None:
    outcome = decode_learner(learner_record())

    assert isinstance(outcome, Occurrence)
    assert (outcome.occurred_at, outcome.topic, outcome.event.name) == (APPENDED, "learners", "Zuleikha Quisling")
    assert decode(learner_record()) == Skipped("unknown type")
    assert decode_learner(record()) == Skipped("unknown type")
    assert decode_learner(record(value=None)) == Skipped("no value")  # a learner who is forgotten


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b'{"user_id": "Zuleikha Quisling", "name": "Zuleikha Quisling"}', Kind.SCHEMA),
        (b'{"user_id": "0190a6e2-0000-7000-8000-000000000001", "email": "Zuleikha Quisling"}', Kind.SCHEMA),
        (b'"Zuleikha Quisling"', Kind.NOT_JSON),
        (b'{"name": "Zuleikha Quisling"', Kind.NOT_JSON),
        (b'{"user_id": "0190a6e2-0000-7000-8000-000000000001", "name": "Zuleikha \\ud800 Quisling"}', Kind.NOT_JSON),
    ],
)
def test_no_reason_names_the_learner(value: bytes, kind: Kind) -> None:
    outcome = decode_learner(learner_record(value))

    assert isinstance(outcome, Rejected)
    assert outcome.kind is kind
    assert "uleikha" not in outcome.reason
    assert outcome.record.value == value


def test_nor_does_what_an_event_looks_like_in_a_log() -> None:
    outcome = decode_learner(learner_record())

    assert not {"Zuleikha", "zuleikha"} & set(re.findall(r"\w+", repr(outcome)))


def test_a_kind_that_nobody_knows_is_unknown() -> None:
    assert Kind("from a newer worker") is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"value": None}, "no value"),
        (
            {"headers": [], "value": b'{"id": "1", "type": "LessonRated", "time": "2026-11-22T00:00Z"}'},
            "unknown type",
        ),
    ],
)
def test_what_says_nothing_to_this_worker_is_skipped(changed: dict[str, Any], reason: str) -> None:
    assert decode(record(**changed)) == Skipped(reason)


IN_SECONDS = int(APPENDED.timestamp())
NO_TIMESTAMP = [-(10**14), -2, -1, 0, IN_SECONDS, 946_684_799_999]


@pytest.mark.parametrize("timestamp_ms", [*NO_TIMESTAMP, 10**17])
def test_without_a_timestamp_that_can_be_earlier_the_time_of_the_event_counts(timestamp_ms: int) -> None:
    past = datetime(2026, 1, 1, tzinfo=UTC)

    assert decode(record(past, timestamp=timestamp_ms)) == Occurrence(past, EVENT, "lesson-events", 3)


@pytest.mark.parametrize("timestamp_ms", NO_TIMESTAMP)
@pytest.mark.parametrize(("ahead_s", "is_event"), [(-60, True), (300, True), (300.001, False), (10**9, False)])
def test_without_a_timestamp_a_time_ahead_of_the_clock_is_rejected(
    timestamp_ms: int, ahead_s: float, is_event: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = datetime(2027, 1, 1, tzinfo=UTC)
    monkeypatch.setattr("worker.decode.now", clock.timestamp)
    at = clock + timedelta(seconds=ahead_s)

    outcome = decode(record(at, timestamp=timestamp_ms))

    if is_event:
        assert outcome == Occurrence(at, EVENT, "lesson-events", 3)
    else:
        assert isinstance(outcome, Rejected)
        assert outcome.kind is Kind.TIME
        assert "the record has no timestamp" in outcome.reason


@pytest.mark.parametrize("part", ["key", "value", "headers"])
def test_a_record_of_more_than_2_mib_is_rejected_whatever_makes_it_large(part: str) -> None:
    """It is no matter whether what is kept of it would be an event."""
    room = LARGEST_RECORD - measure(record(key=b"", value=b""))

    def sized(size: int) -> Record:
        valid = record().value
        parts: dict[str, dict[str, Any]] = {
            "key": {"key": b"k" * size, "value": b""},
            "value": {"key": b"", "value": b" " * (size - len(valid)) + valid},
            "headers": {"key": b"", "value": b"", "headers": [*record().headers, ("x", b"h" * (size - 1))]},
        }
        return record(**parts[part])

    whole, large = sized(room), sized(room + 1)

    assert cut(whole) is whole
    outcome = decode(cut(large))
    assert isinstance(outcome, Rejected)
    assert outcome.kind is Kind.TOO_LARGE
    assert measure(outcome.record) <= KEPT_VALUE + KEPT_KEY + KEPT_HEADERS
    assert outcome.record.value_sha256 == sha256(large.value).hexdigest()


def test_a_valid_event_of_2_mib_is_applied() -> None:
    valid = record().value
    padded = b" " * (LARGEST_RECORD - measure(record())) + valid

    assert isinstance(decode(cut(record(value=padded))), Occurrence)
