"""Which dead letters are produced again, as what, and how fast."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.structs import RecordMetadata
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import binary
from events.kinds import Kind
from events.learners import LearnerDescribed
from events.producer import OutgoingRecord
from tests.factories import APPENDED, letter, record
from worker.deadletters.letter import Letter, Origin, Position
from worker.deadletters.replay import NoReplay, Pacer, ReplayRounds, choose_decoders, prepare_replay
from worker.deadletters.selection import Selection
from worker.decode import decode
from worker.kafka.topics import LARGEST_REQUEST
from worker.settings import Settings
from worker.stream.cut_record import LARGEST_RECORD
from worker.stream.outcome import Occurrence, Outcome, Record, Rejected, Skipped

TOPIC = "lesson-events"
DECODERS = {TOPIC: decode}


def repaired(original: Record | None = None, kind: Kind = Kind.SCHEMA) -> Letter:
    """A letter whose record today's rules accept."""
    return replace(letter(), record=original or record(), kind=kind)


def test_a_record_is_produced_as_it_came_with_the_number_of_attempts() -> None:
    original = record(key=b"\xff", headers=[*record().headers, ("trace", b"\x01\xff")], timestamp=1_750_000_000_000)

    produced = prepare_replay(repaired(original), Selection(), DECODERS)

    assert not isinstance(produced, NoReplay)
    assert (produced.topic, produced.key, produced.value) == (TOPIC, original.key, original.value)
    assert produced.timestamp_ms == original.timestamp
    assert list(produced.headers) == [*original.headers, ("dlq_attempts", b"3")]


@pytest.mark.parametrize("ahead", [timedelta(minutes=4), timedelta(days=30)])
def test_a_clock_that_ran_ahead_is_held_against_a_replay_too(ahead: timedelta) -> None:
    original = record(APPENDED + ahead)
    produced = prepare_replay(repaired(original), Selection(), DECODERS)
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
        (repaired(record(value=b" " * LARGEST_RECORD + record().value)), "still too-large"),
        (repaired(record(value=None)), "not an event for a worker: no value"),
        (repaired(kind=Kind.REFUSED), "refused by the database"),
        (replace(repaired(), truncated="headers 1048300"), "truncated"),
        (replace(repaired(), origin=None), "from an unknown topic"),
        (replace(letter(dlq_topic="elsewhere"), record=record()), "from elsewhere, not lesson-events"),
    ],
)
def test_what_would_not_be_applied_stays_with_the_reason(left: Letter, why: str) -> None:
    decision = prepare_replay(left, Selection(), DECODERS)

    assert isinstance(decision, NoReplay)
    assert decision.why.startswith(why)


def test_not_even_a_name_makes_a_part_of_a_record_an_event() -> None:
    """Its headers were cut, and what is left is a valid event, as it may be by chance."""
    position = Position(0, 7)
    partial = replace(repaired(kind=Kind.REFUSED), truncated="headers 1048300")

    decision = prepare_replay(partial, Selection(positions={position}), DECODERS, to=TOPIC)

    assert isinstance(decision, NoReplay)


@pytest.mark.parametrize(
    "selection", [Selection(kinds={Kind.REFUSED}), Selection(positions={Position(0, 7), Position(0, 8)})]
)
def test_what_the_database_refused_is_replayed_when_it_is_named(selection: Selection) -> None:
    assert not isinstance(prepare_replay(repaired(kind=Kind.REFUSED), selection, DECODERS), NoReplay)


def test_a_topic_that_is_named_takes_letters_from_anywhere() -> None:
    stranger = replace(repaired(), origin=None)

    produced = prepare_replay(stranger, Selection(), DECODERS, to="elsewhere")

    assert not isinstance(produced, NoReplay)
    assert produced.topic == "elsewhere"


def from_topic(topic: str, value: bytes = b"{}") -> Letter:
    return replace(letter(dlq_topic=topic), record=record(topic=topic, value=value))


def test_each_letter_goes_back_to_its_topic_after_the_decoder_of_that_topic() -> None:
    """Two streams share the dead letter topic; what one accepts, the other does not."""

    def decode_catalog(original: Record) -> Outcome:
        return Rejected(original, "no title", Kind.SCHEMA) if original.value == b"{}" else Skipped("unknown course")

    def accept(original: Record) -> Outcome:
        return decode(record())

    both = {TOPIC: decode, "course-catalog": accept}
    lesson, catalog = repaired(), from_topic("course-catalog")
    for original in (lesson, catalog):
        produced = prepare_replay(original, Selection(), both)
        assert not isinstance(produced, NoReplay)
        assert original.origin is not None
        assert produced.topic == original.origin.topic

    strict = {TOPIC: decode, "course-catalog": decode_catalog}
    assert prepare_replay(catalog, Selection(), strict) == NoReplay("still schema")
    assert prepare_replay(from_topic("course-catalog", b"[]"), Selection(), strict) == NoReplay(
        "not an event for a worker: unknown course"
    )
    assert prepare_replay(from_topic("elsewhere"), Selection(), both) == NoReplay(
        "from elsewhere, not lesson-events or course-catalog (see --to)"
    )


def test_a_description_of_a_learner_goes_back_to_learners_once_it_is_right() -> None:
    headers, value = binary(LearnerDescribed(user_id=uuid4(), name="Ada"), id="1", time=APPENDED, source="tests")
    original = replace(
        repaired(record(topic="learners", value=value, headers=headers)), origin=Origin("learners", 0, 1)
    )

    produced = prepare_replay(original, Selection(), choose_decoders(Settings()))

    assert not isinstance(produced, NoReplay)
    assert (produced.topic, produced.value) == ("learners", value)
    broken = replace(original, record=record(topic="learners", value=b"{}", headers=headers))
    assert prepare_replay(broken, Selection(), choose_decoders(Settings())) == NoReplay("still schema")


def test_a_topic_that_is_named_has_the_last_word_and_its_decoder_too() -> None:
    def accept(original: Record) -> Outcome:
        return decode(record())

    both = {TOPIC: decode, "course-catalog": accept}

    assert isinstance(prepare_replay(from_topic("course-catalog"), Selection(), both, to=TOPIC), NoReplay)
    elsewhere = prepare_replay(from_topic("course-catalog"), Selection(), both, to="elsewhere")
    assert not isinstance(elsewhere, NoReplay)
    assert elsewhere.topic == "elsewhere"


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


class FakeProducer:
    """Keeps what it is sent, request by request."""

    def __init__(self) -> None:
        self.sent: list[list[OutgoingRecord]] = []

    async def send_all(self, records: list[OutgoingRecord]) -> list[Any]:
        self.sent.append(records)
        return [RecordMetadata("t", 0, None, n, 0, 0, 0) for n, _ in enumerate(records)]


async def send(records: list[OutgoingRecord]) -> list[list[OutgoingRecord]]:
    """Returns the requests in which these are sent, without the resolutions."""
    producer = FakeProducer()
    rounds = ReplayRounds(Settings(), producer, rate=1e9)
    for n, one in enumerate(records):
        await rounds.add(one, [Position(0, n)])
    await rounds.flush()
    return [request for request in producer.sent if request and request[0].topic == "t"]


async def test_a_round_holds_no_more_than_one_request_and_one_record() -> None:
    sent = await send([OutgoingRecord("t", None, bytes(LARGEST_RECORD), [])] * 9)

    held = [sum(len(record.value or b"") for record in records) for records in sent]
    assert sum(held) == 9 * LARGEST_RECORD
    assert max(held) <= LARGEST_REQUEST + LARGEST_RECORD


async def test_a_record_without_a_timestamp_is_sent_alone() -> None:
    sent = await send([OutgoingRecord("t", None, b"", [], stamp) for stamp in (5, -1, -1, 6, 7)])

    assert [[record.timestamp_ms for record in request] for request in sent] == [[5], [-1], [-1], [6, 7]]
