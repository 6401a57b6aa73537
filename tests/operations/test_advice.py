"""How many workers there should be."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.operations.advice import CATCH_UP_S, HEADROOM, advise, bound_capacity, count_needed

USUAL: dict[str, Any] = {"partitions": 12, "running": 2, "incoming_per_s": 0.0, "capacity_per_s": 1000.0, "lag": 0}


def number(**changed: Any) -> int | None:
    return advise(**USUAL | changed).workers


def test_one_worker_is_enough_for_nothing() -> None:
    assert number() == 1


def test_workers_are_planned_with_below_what_they_can_do() -> None:
    assert number(incoming_per_s=1000 * HEADROOM) == 1
    assert number(incoming_per_s=1000 * HEADROOM + 1) == 2
    assert number(incoming_per_s=3000) == 5


def test_what_waits_is_worked_off_in_reasonable_time() -> None:
    assert number(incoming_per_s=500, lag=CATCH_UP_S * 1000) == 3


def test_no_more_than_share_the_partitions_and_the_sentence_says_that_it_is_not_enough() -> None:
    advice = advise(**USUAL | {"incoming_per_s": 20_000})

    assert advice.workers == 12
    assert "29 workers" in advice.sentence


def test_standing_still_is_not_for_want_of_workers() -> None:
    advice = advise(**USUAL | {"incoming_per_s": 20_000, "stall_reason": "PostgreSQL does not answer"})

    assert advice.workers is None
    assert "PostgreSQL does not answer" in advice.sentence


def test_what_is_not_known_is_not_guessed() -> None:
    assert number(incoming_per_s=None) is None
    assert number(lag=None) is None


def test_those_that_run_are_enough_while_nothing_was_too_much_for_them() -> None:
    assert number(capacity_per_s=None, incoming_per_s=300, running=3) == 3
    assert number(capacity_per_s=None, running=0) == 1


def test_what_a_worker_did_in_half_its_time_shows_that_fewer_are_enough_but_never_that_more_are_needed() -> None:
    unknown = {"capacity_per_s": None, "incoming_per_s": 300, "running": 3}

    assert number(**unknown, capacity_at_least_per_s=bound_capacity(100, 0.25)) == 2
    assert number(**unknown, capacity_at_least_per_s=bound_capacity(100, 1)) == 3
    assert bound_capacity(0, 0) is None


@pytest.mark.parametrize(("running", "too_few"), [(4, True), (5, False), (6, False)])
def test_too_few_run_when_more_would_keep_up(running: int, too_few: bool) -> None:
    assert advise(**USUAL | {"incoming_per_s": 3000, "running": running}).too_few is too_few


@pytest.mark.parametrize("changed", [{"stall_reason": "PostgreSQL does not answer"}, {"lag": None}])
def test_nobody_says_that_there_are_too_few_where_more_would_not_help_or_nothing_is_known(changed: Any) -> None:
    assert not advise(**USUAL | {"incoming_per_s": 20_000} | changed).too_few


@given(st.lists(st.tuples(st.floats(0, 1e5), st.integers(0, 10**6)), min_size=1, max_size=5), st.floats(1, 1e5))
def test_shares_of_workers_add_up_to_what_the_whole_takes(loads: list[tuple[float, int]], capacity: float) -> None:
    shares = sum(count_needed(incoming, lag, capacity) for incoming, lag in loads)
    whole = count_needed(sum(incoming for incoming, _ in loads), sum(lag for _, lag in loads), capacity)

    assert shares == pytest.approx(whole)


@given(
    st.integers(1, 100),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.floats(1, 1e5),
    st.integers(0, 10**9),
    st.integers(0, 20),
)
def test_more_load_never_means_fewer_workers_and_there_are_one_to_one_per_partition(
    partitions: int, rate: float, more: float, capacity: float, lag: int, running: int
) -> None:
    usual = {"partitions": partitions, "running": running, "capacity_per_s": capacity, "lag": lag}

    few, many = (advise(**usual, incoming_per_s=r).workers for r in (rate, rate + more))

    assert few is not None
    assert many is not None
    assert 1 <= few <= many <= partitions
