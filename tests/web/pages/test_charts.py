"""Numbers become shapes that lie inside their chart and say what the numbers say."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from worker.web.pages.charts import (
    LONGEST_STEP,
    abbreviate,
    build_axis,
    build_bar_chart,
    build_line,
    build_line_chart,
    build_spark,
    choose_labelled,
)

TEN = datetime(2026, 11, 3, 10, tzinfo=UTC)
VALUES = st.lists(st.integers(0, 10**7), max_size=60)


def after(*seconds: int) -> list[datetime]:
    """Returns times from ten o'clock on, each so many seconds after the one before."""
    return [TEN + timedelta(seconds=so_far) for so_far in itertools.accumulate(seconds)]


@given(st.floats(0, 10**9))
def test_an_axis_has_few_round_numbers_and_ends_above_all_with_little_room_left(highest: float) -> None:
    lines = build_axis(highest)

    assert lines[-1] >= highest
    assert lines[-1] <= max(highest + 1, 1.5 * highest)
    assert str(lines[0]).rstrip("0") in ("1", "2", "5")
    assert lines == [lines[0] * number for number in range(1, len(lines) + 1)]
    assert len(lines) <= 4


@given(VALUES)
def test_every_bar_lies_inside_the_plot_and_beside_the_others(values: list[int]) -> None:
    bars = build_bar_chart("t", ("a", "b"), [(f"label {n}", value) for n, value in enumerate(values)]).bars

    assert [bar.value for bar in bars] == [f"{value:,}" for value in values]
    assert all(bar.x >= 0 and bar.x + bar.width <= 100.01 for bar in bars)
    assert all(bar.y >= -0.01 and abs(bar.y + bar.height - 100) < 0.02 for bar in bars)
    assert all(one.x + one.width < next.x for one, next in itertools.pairwise(bars))


@given(VALUES)
def test_a_higher_value_is_never_a_lower_bar_and_only_zero_has_none(values: list[int]) -> None:
    bars = build_bar_chart("t", ("a", "b"), [(str(n), value) for n, value in enumerate(values)]).bars
    heights = [bar.height for bar in sorted(bars, key=lambda bar: int(bar.value.replace(",", "")))]

    assert heights == sorted(heights)
    assert all((bar.height > 0) == (bar.value != "0") for bar in bars)


@given(st.integers(1, 400), st.integers(1, 20))
def test_labels_are_few_and_evenly_apart_and_the_last_is_there(number: int, most: int) -> None:
    shown = sorted(choose_labelled(number, most))

    assert shown[-1] == number - 1
    assert len(shown) <= most
    assert len({b - a for a, b in itertools.pairwise(shown)}) <= 1


def test_a_chart_has_a_summary_in_words() -> None:
    chart = build_bar_chart("Lessons", ("Lesson", "Learners"), [("1", 1200), ("2", 5)], ["Breathing", "Burns"])

    assert chart.summary == "Lessons, from Breathing (1,200) to Burns (5)"
    assert chart.rows == [("Breathing", "1,200"), ("Burns", "5")]
    assert build_bar_chart("Lessons", ("Lesson", "Learners"), []).summary == "Lessons: no data"


@given(st.lists(st.tuples(st.integers(1, 200), st.floats(0, 10**6)), min_size=1, max_size=90))
def test_a_line_goes_from_edge_to_edge_inside_its_box_except_for_gaps(points: list[tuple[int, float]]) -> None:
    apart, values = zip(*points, strict=True)

    drawn = build_line("", "area", after(*apart), values, build_axis(max(values))[-1])

    stretches = [[tuple(map(float, point.split(","))) for point in each.split()] for each in drawn.stretches]
    assert (stretches[0][0][0], stretches[-1][-1][0]) == (0, 100)
    assert all(-0.01 <= y <= 100.01 for each in stretches for _, y in each)
    assert len(stretches) == len(drawn.areas) == 1 + sum(seconds > LONGEST_STEP.seconds for seconds in apart[1:])


def test_a_gap_in_the_times_is_a_gap_in_the_line() -> None:
    drawn = build_line("", "area", after(0, 30, 160, 10), [1, 2, 3, 4], 4)

    assert drawn.stretches == ("0.00,75.00 15.00,50.00", "95.00,25.00 100.00,0.00")
    assert drawn.areas[1] == "95.00,100 95.00,25.00 100.00,0.00 100.00,100"


def test_a_point_between_two_gaps_is_a_dot() -> None:
    assert build_line("", "area", after(0, 100, 100), [1, 2, 3], 4).stretches[1] == "50.00,50.00 50.00,50.00"


def test_lines_share_an_axis_and_have_a_row_for_each_time() -> None:
    chart = build_line_chart("Rates", after(0, 60), [("In", "dashed", [10, 20]), ("Applied", "area", [10, 15])])

    assert [(line.label, line.y) for line in chart.grid] == [("5", 75), ("10", 50), ("15", 25), ("20", 0)]
    assert chart.rows == (("10:00:00", "10", "10"), ("10:01:00", "20", "15"))
    assert chart.summary == "Rates: In 20, Applied 15"
    assert (chart.start, chart.end) == ("10:00:00 UTC", "10:01:00 UTC")


def test_no_data_is_a_chart_too() -> None:
    chart = build_line_chart("Rates", [], [("In", "area", [])])

    assert (chart.summary, chart.rows, chart.lines[0].stretches) == ("Rates: no data", (), ())


def test_a_single_moment_is_written_once_below_its_line() -> None:
    chart = build_line_chart("Rates", after(0), [("In", "area", [10])])

    assert (chart.start, chart.end) == ("10:00:00 UTC", "")
    assert chart.lines[0].stretches == ("0.00,0.00 100.00,0.00",)


@given(st.floats(0, 10**9))
def test_a_number_beside_an_axis_fits_there(highest: float) -> None:
    assert all(len(abbreviate(value)) <= 4 for value in build_axis(highest))


def test_numbers_beside_an_axis_are_brief() -> None:
    assert [abbreviate(value) for value in (1, 150, 2000, 1500, 2_000_000)] == ["1", "150", "2k", "1.5k", "2M"]


def test_small_lines_without_a_backlog_lie_on_the_ground() -> None:
    assert build_spark(after(0, 3), [0, 0], 0).stretches == ("0.00,100.00 100.00,100.00",)
