"""Which dead letters are produced again, as what, and how fast."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.kinds import Kind
from tests.deadletters.test_letter import letter
from tests.test_decode import APPENDED, record
from worker.deadletters.letter import Letter, Position
from worker.deadletters.replay import NoReplay, Pacer, prepare_replay
from worker.deadletters.selection import Selection
from worker.decode import decode
from worker.stream.outcome import Occurrence, Record

TOPIC = "lesson-events"


def repaired(original: Record | None = None, kind: Kind = Kind.SCHEMA) -> Letter:
    """A letter whose record today's rules accept."""
    return replace(letter(), record=original or record(), kind=kind)


def test_a_record_is_produced_as_it_came_with_the_number_of_attempts() -> None:
    original = record(key=b"\xff", headers=[*record().headers, ("trace", b"\x01\xff")], timestamp=1_750_000_000_000)

    produced = prepare_replay(repaired(original), Selection(), TOPIC)

    assert not isinstance(produced, NoReplay)
    assert (produced.topic, produced.key, produced.value) == (TOPIC, original.key, original.value)
    assert produced.timestamp_ms == original.timestamp
    assert list(produced.headers) == [*original.headers, ("dlq_attempts", b"3")]


@pytest.mark.parametrize("ahead", [timedelta(minutes=4), timedelta(days=30)])
def test_a_clock_that_ran_ahead_is_held_against_a_replay_too(ahead: timedelta) -> None:
    original = record(APPENDED + ahead)
    produced = prepare_replay(repaired(original), Selection(), TOPIC)
    assert not isinstance(produced, NoReplay)

    again = record(value=produced.value, headers=list(produced.headers), timestamp=produced.timestamp_ms)

    assert isinstance(decode(original), Occurrence)
    assert decode(again) == decode(original)


@pytest.mark.parametrize(
    ("left", "why"),
    [
        (letter(), "still schema"),
        (repaired(record(value=b"{")), "still not-json"),
        (repaired(record(datetime(1999, 1, 1, tzinfo=UTC))), "still time"),
        (repaired(record(value=None)), "no event for a worker: tombstone"),
        (repaired(kind=Kind.REFUSED), "refused by the database"),
        (replace(repaired(), origin=None), "from an unknown topic"),
        (replace(letter(dlq_topic="elsewhere"), record=record()), "from elsewhere, not lesson-events"),
    ],
)
def test_what_would_not_be_applied_stays_with_the_reason(left: Letter, why: str) -> None:
    decision = prepare_replay(left, Selection(), TOPIC)

    assert isinstance(decision, NoReplay)
    assert decision.why.startswith(why)


@pytest.mark.parametrize(
    "selection", [Selection(kinds={Kind.REFUSED}), Selection(positions={Position(0, 7), Position(0, 8)})]
)
def test_what_the_database_refused_is_replayed_when_it_is_named(selection: Selection) -> None:
    assert not isinstance(prepare_replay(repaired(kind=Kind.REFUSED), selection, TOPIC), NoReplay)


def test_a_topic_that_is_named_takes_letters_from_anywhere() -> None:
    stranger = replace(repaired(), origin=None)

    produced = prepare_replay(stranger, Selection(), "elsewhere", from_anywhere=True)

    assert not isinstance(produced, NoReplay)
    assert produced.topic == "elsewhere"


@given(
    rate=st.floats(0.1, 10_000),
    rounds=st.lists(st.tuples(st.integers(1, 100), st.floats(0, 60)), min_size=2, max_size=20),
)
def test_no_span_of_time_has_more_than_the_rate_and_one_round(rate: float, rounds: list[tuple[int, float]]) -> None:
    pacer, now, sent = Pacer(rate), 1000.0, []
    for number, busy_s in rounds:
        now += pacer.reserve(number, now)
        sent.append((now, number))
        now += busy_s

    for first in range(len(sent)):
        for last in range(first + 1, len(sent)):
            seconds = sent[last][0] - sent[first][0]
            assert sum(number for _, number in sent[first:last]) <= rate * seconds * (1 + 1e-9) + 1e-6


def test_the_first_round_does_not_wait_and_the_next_does() -> None:
    pacer = Pacer(100)

    assert [pacer.reserve(50, now=10.0), pacer.reserve(50, now=10.1)] == [0, pytest.approx(0.4)]
