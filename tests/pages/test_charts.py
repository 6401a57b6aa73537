"""Numbers become shapes that lie inside their chart and say what the numbers say."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from worker.pages.charts import area, axis, bar_chart, brief, labelled, line_chart, polyline, spark

VALUES = st.lists(st.integers(0, 10**7), max_size=60)


@given(st.floats(0, 10**9))
def test_an_axis_has_few_round_numbers_and_ends_above_all_with_little_room_left(highest: float) -> None:
    lines = axis(highest)

    assert lines[-1] >= highest
    assert lines[-1] <= max(highest + 1, 1.5 * highest)
    assert str(lines[0]).rstrip("0") in ("1", "2", "5")
    assert lines == [lines[0] * number for number in range(1, len(lines) + 1)]
    assert len(lines) <= 4


@given(VALUES)
def test_every_bar_lies_inside_the_plot_and_beside_the_others(values: list[int]) -> None:
    bars = bar_chart("t", ("a", "b"), [(f"label {n}", value) for n, value in enumerate(values)]).bars

    assert [bar.value for bar in bars] == [f"{value:,}" for value in values]
    assert all(bar.x >= 0 and bar.x + bar.width <= 100.01 for bar in bars)
    assert all(bar.y >= -0.01 and abs(bar.y + bar.height - 100) < 0.02 for bar in bars)
    assert all(one.x + one.width < next.x for one, next in itertools.pairwise(bars))


@given(VALUES)
def test_a_higher_value_is_no_lower_bar_and_only_nothing_is_none(values: list[int]) -> None:
    bars = bar_chart("t", ("a", "b"), [(str(n), value) for n, value in enumerate(values)]).bars
    heights = [bar.height for bar in sorted(bars, key=lambda bar: int(bar.value.replace(",", "")))]

    assert heights == sorted(heights)
    assert all((bar.height > 0) == (bar.value != "0") for bar in bars)


@given(st.integers(1, 400), st.integers(1, 20))
def test_labels_are_few_and_evenly_apart_and_the_last_is_there(number: int, most: int) -> None:
    shown = sorted(labelled(number, most))

    assert shown[-1] == number - 1
    assert len(shown) <= most
    assert len({b - a for a, b in itertools.pairwise(shown)}) <= 1


def test_a_chart_tells_its_figures_to_whoever_does_not_see_it() -> None:
    chart = bar_chart("Lessons", ("Lesson", "Learners"), [("1", 1200), ("2", 5)], ["Breathing", "Burns"])

    assert chart.summary == "Lessons, from Breathing (1,200) to Burns (5)"
    assert chart.rows == [("Breathing", "1,200"), ("Burns", "5")]
    assert bar_chart("Lessons", ("Lesson", "Learners"), []).summary == "Lessons: no data"


@given(st.lists(st.floats(0, 10**6), min_size=1, max_size=90))
def test_a_line_goes_from_edge_to_edge_inside_its_box(values: list[float]) -> None:
    points = [tuple(map(float, point.split(","))) for point in polyline(values, axis(max(values))[-1]).split()]

    assert (points[0][0], points[-1][0]) == (0, 100)
    assert all(-0.01 <= y <= 100.01 for _, y in points)
    assert len(points) == max(2, len(values))


def test_an_area_is_closed_at_the_ground_and_nothing_has_none() -> None:
    assert area([1, 2], 2) == "0,100 0.00,50.00 100.00,0.00 100,100"
    assert area([], 2) == ""


def test_lines_share_an_axis_and_have_a_row_for_each_time() -> None:
    chart = line_chart("Rates", "Time", ["10:00", "10:01"], [("In", "dashed", [10, 20]), ("Applied", "area", [10, 15])])

    assert [(line.label, line.y) for line in chart.grid] == [("5", 75), ("10", 50), ("15", 25), ("20", 0)]
    assert chart.rows == (("10:00", "10", "10"), ("10:01", "20", "15"))
    assert chart.summary == "Rates: In 20, Applied 15"
    assert (chart.start, chart.end) == ("10:00", "10:01")


def test_no_data_is_a_chart_too() -> None:
    chart = line_chart("Rates", "Time", [], [("In", "area", [])])

    assert (chart.summary, chart.rows, chart.lines[0].points) == ("Rates: no data", (), "")


def test_a_single_moment_is_written_once_below_its_line() -> None:
    chart = line_chart("Rates", "Time", ["10:00"], [("In", "area", [10])])

    assert (chart.start, chart.end) == ("10:00", "")


@given(st.floats(0, 10**9))
def test_a_number_beside_an_axis_fits_there(highest: float) -> None:
    assert all(len(brief(value)) <= 4 for value in axis(highest))


def test_numbers_beside_an_axis_are_brief() -> None:
    assert [brief(value) for value in (1, 150, 2000, 1500, 2_000_000)] == ["1", "150", "2k", "1.5k", "2M"]


def test_small_lines_without_a_backlog_lie_on_the_ground() -> None:
    assert spark([0, 0], 0).points == "0.00,100.00 100.00,100.00"
