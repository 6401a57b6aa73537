"""What a record says, or why it can never be applied."""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import binary
from events.kinds import Kind
from events.learners import LearnerDescribed
from events.models import LessonCompleted, LessonUncompleted
from tests.factories import APPENDED, COURSE, EVENT, USER, record
from worker.decode import decode, decode_completed_lesson, decode_learner
from worker.progress.reference import expect_rows
from worker.stream.cut_record import KEPT_HEADERS, KEPT_KEY, KEPT_VALUE, LARGEST_RECORD, cut, measure
from worker.stream.outcome import Occurrence, Record, Rejected, Skipped


def with_header(name: str, value: bytes) -> list[tuple[str, bytes]]:
    return [*((n, v) for n, v in record().headers if n != name), (name, value)]


def test_a_valid_record_is_its_event_and_the_time_it_happened() -> None:
    yesterday = APPENDED - timedelta(days=1)

    assert decode(record(yesterday)) == Occurrence(yesterday, EVENT, "lesson-events", 3)


@pytest.mark.parametrize(
    ("ahead", "later", "clamped"),
    [
        (timedelta(minutes=5), timedelta(minutes=5), False),
        (timedelta(minutes=5, microseconds=1), timedelta(), True),
        (timedelta(minutes=5, seconds=1, microseconds=-1), timedelta(), True),
        (timedelta(minutes=5, seconds=1), timedelta(microseconds=1), True),
        (timedelta(minutes=5, days=1), timedelta(microseconds=86_400), True),
        (timedelta(minutes=5, days=30), timedelta(microseconds=30 * 86_400), True),
        (timedelta(days=4000), timedelta(microseconds=30 * 86_400), True),
    ],
)
def test_a_time_more_than_five_minutes_ahead_of_the_record_becomes_the_records_and_a_little_later(
    ahead: timedelta, later: timedelta, clamped: bool
) -> None:
    outcome = decode(record(APPENDED + ahead))

    assert isinstance(outcome, Occurrence)
    assert (outcome.occurred_at, outcome.clamped) == (APPENDED + later, clamped)


AHEAD = timedelta(minutes=5, microseconds=1)  # is the first that is clamped
MONTH = timedelta(days=30)
MOST = datetime(9999, 12, 31, tzinfo=UTC) - APPENDED - timedelta(days=1)


@given(
    st.integers(0, 999),
    st.lists(
        st.timedeltas(AHEAD, AHEAD + timedelta(seconds=3))
        | st.timedeltas(AHEAD, timedelta(days=40))
        | st.timedeltas(AHEAD, MOST),
        min_size=2,
        max_size=5,
    ),
)
def test_events_of_a_clock_that_ran_ahead_stay_in_their_order(milliseconds: int, ahead: list[timedelta]) -> None:
    """Those of one record timestamp, as a device has that sends all at once. Those a second apart stay apart."""
    stamp = APPENDED + timedelta(milliseconds=milliseconds)
    taken: list[datetime] = []
    for by in sorted(ahead):
        one = record(stamp + by, timestamp=int(APPENDED.timestamp()) * 1000 + milliseconds)
        outcome = decode(one)
        assert isinstance(outcome, Occurrence)
        assert outcome.clamped
        assert decode(one) == outcome  # a replay
        taken.append(outcome.occurred_at)

    assert taken == sorted(taken)
    assert stamp <= taken[0]
    assert taken[-1] <= stamp + timedelta(microseconds=30 * 86_400)
    for (by, at), (next_by, next_at) in pairwise(zip(sorted(ahead), taken, strict=True)):
        assert at < next_at or next_by - by < timedelta(seconds=1) or next_by > MONTH


@pytest.mark.parametrize("ahead", [timedelta(minutes=7), timedelta(days=1), timedelta(days=29)])
def test_what_a_device_with_a_fast_clock_took_back_stays_taken_back(ahead: timedelta) -> None:
    """It was offline, and sent both events at once; without their order, a completion counts."""
    lesson = {"user_id": USER, "course_id": COURSE, "lesson_id": "intro", "total_lessons": 1}
    sent = [(LessonCompleted(**lesson), ahead), (LessonUncompleted(**lesson), ahead + timedelta(seconds=1))]
    happened = []
    for event, by in sent:
        headers, value = binary(event, id="1", time=APPENDED + by, source="tests")
        outcome = decode(record(headers=headers, value=value))
        assert isinstance(outcome, Occurrence)
        happened.append((outcome.event, outcome.occurred_at))

    [row] = expect_rows(happened).values()
    assert row.lessons_completed == 0


@pytest.mark.parametrize(("ahead", "clamped"), [(AHEAD - timedelta(microseconds=1), False), (AHEAD, True)])
@pytest.mark.parametrize("appended", [APPENDED, datetime(9000, 1, 1, tzinfo=UTC)])
def test_five_minutes_are_exact_at_every_millisecond(appended: datetime, ahead: timedelta, clamped: bool) -> None:
    """Floating point would move the limit, and with it the order of events around it."""
    for milliseconds in range(1000):
        stamp = appended + timedelta(milliseconds=milliseconds)
        outcome = decode(record(stamp + ahead, timestamp=int(appended.timestamp()) * 1000 + milliseconds))

        assert isinstance(outcome, Occurrence)
        assert outcome.clamped is clamped


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("1999-12-31T23:59:00Z", "1999-12-31T23:59:00+00:00"),
        ("2000-01-01T01:00:00.250000+02:00", "2000-01-01T01:00:00.250000+02:00"),
        ("1999-12-31T18:00:00-05:00", "1999-12-31T18:00:00-05:00"),
        ("0001-01-01T00:00:00-12:00", "0001-01-01T00:00:00-12:00"),
    ],
)
@pytest.mark.parametrize("timestamp_ms", [0, 1_795_000_000, 1_795_000_000_000])
def test_a_time_before_2000_is_rejected_and_shown_as_it_was_written(
    written: str, shown: str, timestamp_ms: int
) -> None:
    """No record's timestamp is taken for the time of its event."""
    outcome = decode(record(headers=with_header("ce_time", written.encode()), timestamp=timestamp_ms))

    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.kind) == (f"time: {shown} is before 2000-01-01 in UTC", Kind.TIME)


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
    assert decode(learner_record()) == Skipped("unknown type", "LearnerDescribed")
    assert decode_learner(record()) == Skipped("unknown type", "CourseAccessed")
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
    ("changed", "skipped"),
    [
        ({"value": None}, Skipped("no value")),
        (
            {"headers": [], "value": b'{"id": "1", "type": "LessonRated", "time": "2026-11-22T00:00Z"}'},
            Skipped("unknown type", "LessonRated"),
        ),
    ],
)
def test_what_says_nothing_to_this_worker_is_skipped(changed: dict[str, Any], skipped: Skipped) -> None:
    assert decode(record(**changed)) == skipped


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
        assert outcome.reason.startswith(f"time: {at.isoformat()} is in the future, and the record has no timestamp")


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


@pytest.mark.parametrize(
    ("written", "minutes"),
    [("Z", 0), ("-08:00", -480), ("+05:45", 345), ("+14:00", 840), ("-00:00", 0), ("+00:00:30", 0)],
)
def test_the_offset_of_the_clock_is_kept_in_minutes(written: str, minutes: int) -> None:
    at = f"2026-11-23T12:00:00{written}".encode()

    assert decode(record(headers=with_header("ce_time", at))).utc_offset == minutes


def test_a_second_reader_of_lesson_events_takes_completions_and_leaves_the_rest_to_the_workers() -> None:
    event = LessonCompleted(user_id=USER, course_id=COURSE, lesson_id="a")
    headers, value = binary(event, id="1", time=APPENDED, source="tests")

    assert decode_completed_lesson(record(headers=headers, value=value)) == Occurrence(
        APPENDED, event, "lesson-events", 3
    )
    for changed in ({}, {"headers": headers, "value": b"{}"}, {"value": b"no JSON"}, {"value": None}):
        assert decode_completed_lesson(record(**changed)) == Skipped("left to workers")
