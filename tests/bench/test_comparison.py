"""Tests that two trees are compared by the figures that they printed."""

import pytest

from tests.bench.comparison import Comparison, Reading, compare, format_comparisons, read_figures

PRINTED = """\
2026-11-28; Kafka 4.1.2, 2 cores.

## Drain, even

Spread evenly | or not.

| contender | events/s | all rounds | µs/event | CPU µs/event: database | contender | broker | WAL kB/event |
| --- | --- | --- | --- | --- | --- | --- | --- |
| floor, 2 connections | 69,675 | 69,617 to 80,302 | 14.4 | 20.8 | nan | 0.2 | 0.9 |

| what | target | measured | met, or what bounds it |
| --- | --- | --- | --- |
| ours / floor, spread evenly | ≥ 0.8 | 0.998 (39,638/s against 39,719/s; ideal 1.19) | met |
| worker CPU per event | ≤ 15 µs | 22.6 µs | **missed**: decode 7.7 µs |
| memory | ≤ 1.05 | not in this run |  |
"""
LATENCY = """\
| events/s | until | p50 ms | on average |
| --- | --- | --- | --- |
| 2,000 | visible | 8.6 | a batch of 4 events |
"""
FOOTPRINT = """\
| what | measured |
| --- | --- |
| start to first commit | 1.1 s |
| PostgreSQL per lesson row | 250 bytes of 1,072,987 rows |
"""


def compared(ours: list[float], theirs: list[float], figure: str = "ours: events/s", rounding: float = 0) -> Comparison:
    return Comparison(figure, [Reading(v, rounding) for v in ours], [Reading(v, rounding) for v in theirs])


def test_numbers_are_read_with_the_names_of_row_and_column() -> None:
    assert read_figures(PRINTED) == {
        "floor, 2 connections: events/s": Reading(69675, 0.5),
        "floor, 2 connections: µs/event": Reading(14.4, 0.05),
        "floor, 2 connections: CPU µs/event: database": Reading(20.8, 0.05),
        "floor, 2 connections: CPU µs/event: broker": Reading(0.2, 0.05),
        "floor, 2 connections: WAL kB/event": Reading(0.9, 0.05),
        "ours / floor, spread evenly": Reading(0.998, 0.0005),
    }


def test_a_number_in_front_is_a_name() -> None:
    assert read_figures(LATENCY) == {"2,000, visible: p50 ms": Reading(8.6, 0.05)}


def test_units_in_cells_are_read() -> None:
    assert read_figures(FOOTPRINT) == {
        "start to first commit, s": Reading(1.1, 0.05),
        "PostgreSQL per lesson row, bytes": Reading(250, 0.5),
    }


def test_ratio_and_spread_are_of_turns() -> None:
    """A machine that slows down between turns changes neither."""
    comparison = compared([90, 50, 101], [100, 50, 100])

    assert (comparison.ratio, comparison.spread) == (1, (0.9, 1.01))


@pytest.mark.parametrize(
    ("ours", "theirs", "figure", "verdict"),
    [
        ([99, 100, 102], [100, 100, 100], "ours: events/s", "none"),
        ([102, 104, 106], [100, 100, 100], "ours: events/s", "none"),  # no larger than the spread is wide
        ([109, 110, 111], [100, 100, 100], "ours: events/s", "faster by 10.0 %"),
        ([89, 90, 91], [100, 100, 100], "ours: events/s", "slower by 10.0 %"),
        ([109, 110, 111], [100, 100, 100], "500, visible: p99 ms", "slower by 10.0 %"),
        ([109, 110, 111], [100, 100, 100], "ours: CPU µs/event: broker", "slower by 10.0 %"),
        ([89, 90, 91], [100, 100, 100], "start to first commit, s", "faster by 10.0 %"),
        ([109, 110, 111], [100, 100, 100], "ours: WAL kB/event", "more by 10.0 %"),
        ([89, 90, 91], [100, 100, 100], "ours / floor, spread evenly", "less by 10.0 %"),
        ([1, 1, 1], [0, 1, 1], "ours: CPU µs/event: broker", "no ratio"),
    ],
)
def test_verdicts(ours: list[float], theirs: list[float], figure: str, verdict: str) -> None:
    assert compared(ours, theirs, figure).verdict == verdict


def test_rounding_is_no_difference() -> None:
    """0.8 and 0.9 may be 0.849 and 0.851."""
    assert compared([0.9] * 3, [0.8] * 3, "ours: WAL kB/event", rounding=0.05).verdict == "none"
    assert compared([9.0] * 3, [8.0] * 3, "ours: WAL kB/event", rounding=0.05).verdict == "more by 12.5 %"


def test_only_figures_of_every_turn_are_compared() -> None:
    one, two = {"a": Reading(1, 0), "b": Reading(2, 0)}, {"b": Reading(4, 0)}

    assert compare([one, one], [one, two]) == [compared([2, 2], [2, 4], "b")]


def test_the_table_shows_medians() -> None:
    printed = format_comparisons([compared([1300, 1100, 1200], [1000, 1000, 1000]), compared([1], [0])], "16b3630")

    assert "| figure | this tree | 16b3630 | ratio | spread | difference |" in printed
    assert "| ours: events/s | 1,200 | 1,000 | 1.200 | 1.100 to 1.300 | none |" in printed
    assert "| ours: events/s | 1 | 0 |  |  | no ratio |" in printed
