"""What a worker knows of its last seconds."""

import pytest

from tests.factories import record
from worker.metrics.throughput import MINUTE_S, RATE_S, Throughput
from worker.stream.outcome import Outcome, Record, Rejected

WALL = 1_800_000_000.0


def entries(number: int, age_s: float = 0.1) -> list[tuple[Record, Outcome]]:
    bad = record(timestamp=int((WALL - age_s) * 1000))
    return [(bad, Rejected(bad, "why", "schema"))] * number


def work(recent: Throughput, since: float, until: float, number: int, age_s: float = 0.1) -> None:
    recent.note_taken(0)
    recent.note_begin(since)
    recent.note_end(until)
    recent.note_settled(0, entries(number, age_s), until, WALL, 2000)


def test_a_worker_that_did_nothing_is_idle() -> None:
    doing = Throughput().summary(100.0)

    assert (doing.events_per_s, doing.busy, doing.dead_letters) == (0, 0, 0)
    assert (doing.capacity_per_s, doing.visible_p50_s, doing.visible_p99_s) == (None, None, None)


def test_rate_and_busy_are_those_of_the_last_seconds() -> None:
    recent = Throughput()
    for second in range(100, 130):
        work(recent, second, second + 0.25, 100)

    now = recent.summary(130)

    assert now.events_per_s == 100
    assert now.busy == pytest.approx(0.25)
    later = recent.summary(130 + RATE_S)
    assert (later.events_per_s, later.busy) == (0, 0)


def test_stages_that_overlap_are_work_once() -> None:
    recent = Throughput()
    recent.note_begin(100)
    recent.note_begin(100.2)
    recent.note_end(100.4)
    recent.note_end(100.5)

    assert recent.summary(101).busy == pytest.approx(0.5 / RATE_S)


def test_capacity_is_that_of_large_batches_and_waiting_between_them_is_no_work() -> None:
    recent = Throughput()
    work(recent, 100, 100.1, 10)
    assert recent.summary(101).capacity_per_s is None

    for start in (110, 120, 130):
        work(recent, start, start + 0.1, 1000)

    assert recent.summary(131).capacity_per_s == pytest.approx(10_000)


def test_what_lies_between_large_batches_that_follow_on_one_another_is_work() -> None:
    recent = Throughput()
    for number in range(5):
        work(recent, 110 + number * 0.25, 110 + number * 0.25 + 0.2, 1000)

    assert recent.summary(112).capacity_per_s == pytest.approx(4000)


def test_batches_that_were_in_work_at_once_share_the_time_also_when_they_are_settled_together() -> None:
    recent = Throughput()
    for start in (110, 120, 130):
        recent.note_taken(0)
        recent.note_begin(start)
        recent.note_taken(1)
        recent.note_begin(start)
        recent.note_end(start + 0.1)
        recent.note_settled(0, entries(1000), start + 0.1, WALL, 2000)
        recent.note_end(start + 0.101)
        recent.note_settled(1, entries(1000), start + 0.101, WALL, 2000)

    assert recent.summary(131).capacity_per_s == pytest.approx(20_000, rel=0.05)


def test_two_lanes_in_turn_can_do_what_they_do_together() -> None:
    recent = Throughput()
    for number in range(20):  # each batch takes 0.2 s, and every 0.1 s one is settled and the next one taken
        now, lane = 110 + number / 10, number % 2
        if number > 1:
            recent.note_end(now)
            recent.note_settled(lane, entries(1000), now, WALL, 2000)
        recent.note_taken(lane)
        recent.note_begin(now)

    assert recent.summary(113).capacity_per_s == pytest.approx(10_000, rel=0.05)


def test_batches_of_which_a_fuller_one_tells_more_do_not_hide_it() -> None:
    """A worker that starts has full batches; at a steady rate they are smaller, and an event takes longer."""
    recent = Throughput()
    work(recent, 100, 100.3, 600)  # 2,000 events a second
    assert recent.summary(101).capacity_per_s == pytest.approx(2_000)

    for start in (110, 120):
        work(recent, start, start + 0.2, 2000)
    for start in range(130, 330, 10):
        work(recent, start, start + 0.3, 600)

    assert recent.summary(331).capacity_per_s == pytest.approx(10_000)


def test_what_large_batches_did_long_ago_gives_way_to_what_they_do_now() -> None:
    recent = Throughput()
    for start in range(100, 400, 10):
        work(recent, start, start + 0.1, 2000)
    for start in range(400, 700, 10):
        work(recent, start, start + 0.8, 1900)

    assert recent.summary(701).capacity_per_s == pytest.approx(2_375)


def test_one_batch_that_waited_for_the_database_does_not_spoil_the_capacity() -> None:
    recent = Throughput()
    for start, seconds in ((110, 0.1), (120, 9.0), (130, 0.1)):
        work(recent, start, start + seconds, 1000)

    assert recent.summary(131).capacity_per_s == pytest.approx(10_000)


def test_quantiles_are_of_events_not_of_batches_and_within_ten_percent() -> None:
    recent = Throughput()
    work(recent, 100, 100.1, 990, age_s=0.02)
    for _ in range(10):
        work(recent, 100.2, 100.3, 1, age_s=2.0)

    doing = recent.summary(101)

    assert doing.visible_p50_s == pytest.approx(0.02, rel=0.1)
    assert doing.visible_p99_s is not None
    work(recent, 102, 102.1, 30, age_s=2.0)
    assert recent.summary(103).visible_p99_s == pytest.approx(2.0, rel=0.1)


def test_a_minute_later_nothing_is_known_of_the_way_and_dead_letters_still_count() -> None:
    recent = Throughput()
    work(recent, 100, 100.1, 3)

    doing = recent.summary(101 + MINUTE_S)

    assert (doing.visible_p50_s, doing.dead_letters) == (None, 3)


def test_a_record_without_a_timestamp_is_not_56_years_on_its_way() -> None:
    recent = Throughput()
    recent.note_settled(0, [(record(timestamp=-1), entries(1)[0][1])], 100, WALL, 2000)

    assert recent.summary(101).visible_p99_s is None


def test_it_stays_small() -> None:
    recent = Throughput()
    for second in range(1000):
        work(recent, second, second + 0.5, 1)

    assert len(recent._seconds) <= MINUTE_S + 1
