"""Turns numbers into the geometry of an SVG, which templates/charts.html draws beside a table of the same. Pure.

Positions are percent of the plot, so that a chart fits any width without stretching its text and strokes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

MOST_LABELS, MOST_SHORT_LABELS = 5, 12
SHORT = 2  # characters
GAP = 0.28  # share of a column's room
LABEL_ROOM = 14  # percent: of the label of a line in a narrow window
LEAST_HEIGHT = 1.5  # so that a small value does not look like a missing one
STEPS = (1, 2, 5)
MOST_STEPS = 4
LONGEST_STEP = timedelta(seconds=75)  # from one point of a line to the next; beyond it the values between are unknown
UNITS = ((10**9, "bn"), (10**6, "M"), (10**3, "k"))


@dataclass(frozen=True, slots=True)
class Grid:
    """Marks a value with a horizontal line."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """Draws one value as a rectangle."""

    x: float
    y: float
    width: float
    height: float
    middle: float
    label: str
    name: str  # in full
    value: str
    labelled: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """Draws a vertical line before a bar, where something began."""

    x: float
    label: str  # empty where there is no room for one
    at_end: bool  # whether the label stands on the line's left
    text: str  # in full


@dataclass(frozen=True, slots=True)
class BarChart:
    """Shows values as columns, or as a table with a bar in each row where bars are few or their names long."""

    title: str
    columns: tuple[str, str]  # of the table
    bars: tuple[Bar, ...]
    grid: tuple[Grid, ...]
    marks: tuple[Mark, ...] = ()

    @property
    def rows(self) -> list[tuple[str, str]]:
        return [(bar.name, bar.value) for bar in self.bars]

    @property
    def summary(self) -> str:
        """Describes the chart to readers who cannot see it."""
        if not self.bars:
            return f"{self.title}: no data"
        first, last = self.bars[0], self.bars[-1]
        marked = "".join(f"; {mark.text}" for mark in self.marks)
        return f"{self.title}, from {first.name} ({first.value}) to {last.name} ({last.value}){marked}"


@dataclass(frozen=True, slots=True)
class Line:
    """Connects values in a box of 100 by 100. Where the times have a gap, the line has one between two stretches."""

    name: str
    stretches: tuple[str, ...]  # the points of SVG polylines
    areas: tuple[str, ...]  # of polygons, from these down to zero
    kind: str  # the class it is drawn with


@dataclass(frozen=True, slots=True)
class LineChart:
    """Shows values over time."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    grid: tuple[Grid, ...]
    start: str
    end: str
    rows: tuple[tuple[str, ...], ...]  # of the table

    @property
    def summary(self) -> str:
        """Describes the latest values to readers who cannot see the chart."""
        latest = self.rows[-1][1:] if self.rows else ()
        now = ", ".join(f"{name} {value}" for name, value in zip(self.columns[1:], latest, strict=False))
        return f"{self.title}: {now or 'no data'}"


def build_axis(highest: float) -> list[int]:
    """Returns the values of its lines: 1, 2 or 5 times a power of ten apart, at most MOST_STEPS, the last above all."""
    scale = 1
    while True:
        for step in (step * scale for step in STEPS):
            if step * MOST_STEPS >= highest:
                return [step * number for number in range(1, max(1, math.ceil(highest / step)) + 1)]
        scale *= 10


def build_bar_chart(
    title: str, columns: tuple[str, str], values: Sequence[tuple[str, int]], names: Sequence[str] | None = None
) -> BarChart:
    """Builds a bar for each label and its value, in their order. `names` are the full names behind short labels."""
    lines = build_axis(max((value for _, value in values), default=0))
    room = 100 / max(1, len(values))
    short = all(len(label) <= SHORT for label, _ in values)
    shown = choose_labelled(len(values), MOST_SHORT_LABELS if short else MOST_LABELS)
    bars = []
    for index, ((label, value), name) in enumerate(zip(values, names or [label for label, _ in values], strict=True)):
        height = max(LEAST_HEIGHT, 100 * value / lines[-1]) if value else 0
        bars.append(
            Bar(
                round(room * (index + GAP / 2), 2),
                round(100 - height, 2),
                round(room * (1 - GAP), 2),
                round(height, 2),
                round(room * (index + 0.5), 2),
                label,
                name,
                f"{value:,}",
                index in shown,
            )
        )
    return BarChart(title, columns, tuple(bars), build_grid(lines))


def mark_bars(chart: BarChart, found: Sequence[tuple[int, str, str]]) -> BarChart:
    """Adds a line before each of these bars: the bar's place, a short label, and what the line says in full.

    They ascend. A line that stands close after a labelled one has no label.
    """
    room = 100 / max(1, len(chart.bars))
    marks: list[Mark] = []
    free = 0.0
    for place, label, text in found:
        x = round(room * place, 2)
        fits = x >= free
        free = x + LABEL_ROOM if fits else free
        marks.append(Mark(x, label if fits else "", x > 100 - LABEL_ROOM, text))
    return replace(chart, marks=tuple(marks))


def choose_labelled(number: int, most: int) -> set[int]:
    """Returns which of so many columns show their label: the last, and others evenly before it."""
    return set(range(number - 1, -1, -max(1, math.ceil(number / most))))


def build_grid(lines: Sequence[int]) -> tuple[Grid, ...]:
    """Builds the horizontal lines. The last value is the upper edge."""
    return tuple(Grid(round(100 - 100 * value / lines[-1], 2), abbreviate(value)) for value in lines)


def abbreviate(value: int) -> str:
    """Shortens a number to four characters at most: `150`, `2k`, `2.5M`."""
    for size, unit in UNITS:
        if value >= size:
            return f"{value / size:g}{unit}"
    return str(value)


def build_line_chart(
    title: str, times: Sequence[datetime], series: Sequence[tuple[str, str, Sequence[float]]]
) -> LineChart:
    """Builds a line for each series: name, kind, and a value for each time. Times are UTC and ascend."""
    levels = build_axis(max((value for *_, values in series for value in values), default=0))
    names = [f"{time:%H:%M:%S}" for time in times]
    rows = zip(names, *([f"{value:,.0f}" for value in values] for *_, values in series), strict=True)
    return LineChart(
        title,
        ("Time, UTC", *(name for name, *_ in series)),
        tuple(build_line(name, kind, times, values, levels[-1]) for name, kind, values in series),
        build_grid(levels),
        f"{names[0]} UTC" if names else "",
        f"{names[-1]} UTC" if len(names) > 1 else "",
        tuple(rows),
    )


def build_spark(times: Sequence[datetime], values: Sequence[float], end: float) -> Line:
    """Builds a line without axes. Lines with the same `end` can be compared."""
    return build_line("", "area", times, values, max(1, end))


def build_line(name: str, kind: str, times: Sequence[datetime], values: Sequence[float], end: float) -> Line:
    """Builds a line; `end` is the value at the upper edge."""
    points = [(x, 100 - 100 * value / end) for x, value in zip(place_times(times), values, strict=True)]
    if len(points) == 1:
        points.append((100, points[0][1]))  # a single value is a line too
    cuts = [number for number, (before, after) in enumerate(pairwise(times), 1) if after - before > LONGEST_STEP]
    parts = [points[first:last] for first, last in pairwise([0, *cuts, len(points)]) if points]
    return Line(name, tuple(map(format_points, parts)), tuple(map(format_area, parts)), kind)


def place_times(times: Sequence[datetime]) -> list[float]:
    """Returns where each time lies between the first and the last."""
    whole = (times[-1] - times[0]) if len(times) > 1 else LONGEST_STEP
    return [100 * ((time - times[0]) / whole) for time in times]


def format_points(points: Sequence[tuple[float, float]]) -> str:
    """Writes a polyline. One point between two gaps is written twice, a dot, because line ends are round."""
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in (points if len(points) > 1 else [*points, *points]))


def format_area(points: Sequence[tuple[float, float]]) -> str:
    """Writes the polygon under the polyline."""
    return f"{points[0][0]:.2f},100 {format_points(points)} {points[-1][0]:.2f},100"
