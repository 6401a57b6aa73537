"""Lag and rates over the last minutes."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.operations.lag_history import Delay, LagHistory, Point, Sample

START = datetime(2026, 11, 25, tzinfo=UTC)


def sample(second: float, end: int, applied: int) -> Sample:
    return Sample(START + timedelta(seconds=second), {0: end, 1: 7}, {0: applied, 1: 7})


def trail(*samples: Sample, kept_s: float = 100) -> LagHistory:
    made = LagHistory(kept_s)
    for one in samples:
        made.add(one)
    return made


def test_rates_need_two_looks() -> None:
    assert trail().rates() is None
    assert trail(sample(0, 5, 5)).rates() is None


def test_rates_are_those_of_the_last_seconds_only() -> None:
    rates = trail(sample(0, 0, 0), sample(100, 9000, 10), sample(104, 9400, 410)).rates()

    assert rates is not None
    assert (rates.incoming, rates.applied) == ({0: 100, 1: 0}, {0: 100, 1: 0})


@pytest.mark.parametrize(("apart", "known"), [(30, True), (600, False)])
def test_rates_are_known_while_nobody_watches_and_not_after_a_gap(apart: int, known: bool) -> None:
    assert (trail(sample(0, 0, 0), sample(apart, 9, 9), kept_s=1000).rates() is not None) is known


def test_a_rewind_is_no_negative_rate() -> None:
    rates = trail(sample(0, 100, 100), sample(2, 100, 0)).rates()

    assert rates is not None
    assert rates.applied[0] == 0


def test_a_partition_that_was_added_has_no_rate_yet() -> None:
    before = Sample(START, {0: 4}, {0: 4})

    rates = trail(before, sample(2, 4, 4)).rates()

    assert rates is not None
    assert rates.incoming[1] == 0


def test_points_tell_lag_and_rates_since_the_point_before_and_end_with_the_newest() -> None:
    made = trail(*(sample(second, 100 * second, 50 * second) for second in range(6)))

    assert made.points(every_s=2) == (
        Point(START + timedelta(seconds=3), {0: 150, 1: 0}, 100, 50),
        Point(START + timedelta(seconds=5), {0: 250, 1: 0}, 100, 50),
    )


def test_points_are_as_far_apart_where_samples_are_many_as_where_they_are_few() -> None:
    made = trail(*(sample(second, 0, 0) for second in (0, 30, 60, 90, *range(92, 122, 2))), kept_s=1000)

    apart = [(point.at - START).total_seconds() for point in made.points(every_s=28)]

    assert apart == [30, 60, 92, 120]


def test_it_stays_small() -> None:
    made = trail(*(sample(second, 0, 0) for second in range(50)), kept_s=10)

    assert len(made.points()) == 10


def test_a_partition_is_as_far_behind_as_the_log_has_passed_where_it_is() -> None:
    delays = trail(sample(0, 100, 100), sample(2, 300, 100), sample(4, 400, 200), sample(6, 500, 200)).delays()

    assert delays == {0: Delay(4), 1: Delay(0)}


def test_a_backlog_from_before_the_first_look_is_at_least_so_old() -> None:
    assert trail(sample(0, 500, 0), sample(6, 600, 90)).delays()[0] == Delay(6, longer=True)


def test_a_rewind_is_a_backlog() -> None:
    assert trail(sample(0, 100, 100), sample(2, 100, 0)).delays()[0] == Delay(2, longer=True)


def test_nothing_is_behind_before_the_first_look() -> None:
    assert trail().delays() == {}


def test_after_a_clock_was_set_back_time_does_not_run_backwards() -> None:
    rates = trail(sample(0, 0, 0), sample(10, 90, 90), sample(4, 100, 100)).rates()

    assert rates is not None
    assert rates.incoming == {0: 25, 1: 0}


def test_two_looks_at_one_time_are_one() -> None:
    assert trail(sample(4, 0, 0), sample(4, 100, 100)).rates() is None
