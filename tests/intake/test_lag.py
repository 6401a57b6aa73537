"""Lag is what waits, also while nothing is read."""

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from worker.intake.lag import Lag
from worker.stream.batch import Batch, gather
from worker.stream.outcome import Skipped
from worker.stream.sink import Span

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)


def batch_of(tp: TopicPartition, offset: int, at_s: float) -> Batch:
    record = ConsumerRecord(tp.topic, tp.partition, offset, int(at_s * 1000), 0, None, b"", None, -1, 0, ())
    return gather({tp: [record]}, {tp: offset}, lambda _: Skipped(""))


def test_nothing_waits_when_the_end_is_applied() -> None:
    lag = Lag()
    lag.go_on(P0, 5)
    lag.note_ends({P0: 5}, now=100)

    assert lag.measure(now=200) == {P0: (0, 0)}


def test_a_record_in_hand_is_as_old_as_its_timestamp_until_it_is_applied() -> None:
    lag = Lag()
    lag.go_on(P0, 5)
    now = 1_800_000_000
    lag.note_taken(batch_of(P0, 5, at_s=now - 60))
    lag.note_taken(batch_of(P0, 6, at_s=now - 30))
    lag.note_ends({P0: 7}, now=now)

    assert lag.measure(now=now) == {P0: (2, 60)}
    lag.note_applied({P0: Span(5, 6)})
    assert lag.measure(now=now) == {P0: (1, 30)}
    lag.note_applied({P0: Span(6, 7)})
    assert lag.measure(now=now) == {P0: (0, 0)}


def test_what_cannot_be_fetched_is_as_old_as_the_first_sight_of_it() -> None:
    lag = Lag()
    lag.go_on(P0, 5)
    for now, end in ((100, 5), (101, 8), (102, 20)):
        lag.note_ends({P0: end}, now)

    assert lag.measure(now=131) == {P0: (15, 30)}


@pytest.mark.parametrize("at_s", [-0.001, 0, 1_800_000])  # none, none, and seconds for milliseconds
def test_a_record_without_a_timestamp_is_not_56_years_old(at_s: float) -> None:
    lag = Lag()
    lag.go_on(P0, 5)
    lag.note_taken(batch_of(P0, 5, at_s=at_s))
    lag.note_ends({P0: 6}, now=1_800_000_000)

    assert lag.measure(now=1_800_000_000) == {P0: (1, 0)}


def test_a_partition_that_went_away_is_not_told_of() -> None:
    lag = Lag()
    for tp in (P0, P1):
        lag.go_on(tp, 0)
    lag.note_ends({P0: 1, P1: 1}, now=100)
    lag.forget([P0])
    lag.note_ends({P0: 2, P1: 2}, now=101)

    assert lag.measure(now=101).keys() == {P1}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=30))
def test_seconds_are_zero_exactly_when_nothing_has_waited(steps: list[tuple[int, int]]) -> None:
    lag = Lag()
    lag.go_on(P0, 0)
    end = applied = 0
    for now, (written, done) in enumerate(steps):
        end += written
        applied = min(end, applied + done)
        lag.note_applied({P0: Span(None, applied)})
        lag.note_ends({P0: end}, now)

        events, seconds = lag.measure(now)[P0]
        assert events == end - applied
        assert events or not seconds
    if steps and end > applied:
        assert lag.measure(len(steps))[P0][1] > 0


def test_a_position_is_what_is_applied_and_where_the_log_ends_once_both_are_known() -> None:
    lag = Lag()
    lag.go_on(P0, 5)
    lag.go_on(P1, 9)
    lag.note_ends({P0: 7}, now=100)

    assert lag.read_positions() == {P0: (5, 7)}
    lag.note_applied({P0: Span(5, 8)})  # a batch that ended behind the last look
    assert lag.read_positions() == {P0: (8, 8)}
