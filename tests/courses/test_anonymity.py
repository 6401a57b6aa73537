"""No figure, and no difference of two figures, tells of fewer than five learners."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from worker.courses.anonymity import SHARE_FROM, K, merge_small, percent, round_down


def could_be(figure: int) -> list[int]:
    """The counts that are shown as this."""
    return [learners for learners in range(figure, figure + 2 * K) if round_down(learners) == figure]


def differences(whole: int, part: int) -> set[int]:
    """What somebody who sees both figures may think that their difference is."""
    return {w - p for w in could_be(round_down(whole)) for p in could_be(round_down(part)) if p <= w}


def test_fewer_than_five_look_the_same() -> None:
    assert {round_down(learners) for learners in range(K)} == {0}
    assert round_down(K) == K


@given(st.integers(K, 2000), st.data())
def test_the_rest_of_a_group_is_never_known_to_be_few(whole: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, whole))

    left = differences(whole, part)

    assert len(left) >= K
    assert left & {0, *range(K, 2000 + K)}  # never certainly some, and certainly fewer than five


@given(st.lists(st.integers(0, 12), min_size=1, max_size=9))
def test_parts_of_a_whole_are_all_of_it_and_never_small(counts: list[int]) -> None:
    parts = merge_small(counts)

    assert all(count >= K for _, count in parts)
    assert sum(count for _, count in parts) == (sum(counts) if parts else 0)
    assert bool(parts) == (sum(counts) >= K)
    assert _ends(parts) == sorted(set(_ends(parts)))
    assert not parts or parts[-1][0] < len(counts)


def _ends(parts: Iterable[tuple[int, int]]) -> list[int]:
    return [last for last, _ in parts]


def test_small_buckets_join_the_next_one_and_the_last_the_one_before() -> None:
    assert merge_small([1, 0, 4, 7, 0, 3, 0]) == [(2, 5), (6, 10)]


def test_a_share_needs_enough_learners_and_is_that_of_the_shown_counts() -> None:
    assert percent(40, SHARE_FROM - 1) is None
    assert percent(29, 104) == 25
    assert percent(104, 104) == 100


@given(st.integers(SHARE_FROM, 2000), st.data())
def test_a_share_is_wrong_by_eight_points_at_most(whole: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, whole))

    told = percent(part, whole)

    assert told is not None
    assert abs(told - 100 * part / whole) < 9  # and the rounding to whole percent
