"""Numbers as the geometry of an SVG: templates/charts.html draws it, and a table says the same. Pure.

Positions are percent of the plot, so that a chart fits any width and its text and strokes are not stretched.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

SHOWN_LABELS, SHOWN_SHORT_LABELS = 5, 12
SHORT = 2  # characters
GAP = 0.28  # of the room that a column has
LEAST_HEIGHT = 1.5  # so that a small value is no missing one
STEPS = (1, 2, 5)
MOST_STEPS = 4
UNITS = ((10**9, "bn"), (10**6, "M"), (10**3, "k"))


@dataclass(frozen=True, slots=True)
class Grid:
    """A horizontal line, and the value it stands for."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
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
class BarChart:
    """Drawn as columns, or, where bars are few or their names long, as a table with a bar in each row."""

    title: str
    columns: tuple[str, str]  # of the table
    bars: tuple[Bar, ...]
    grid: tuple[Grid, ...]

    @property
    def rows(self) -> list[tuple[str, str]]:
        return [(bar.name, bar.value) for bar in self.bars]

    @property
    def summary(self) -> str:
        """For whoever does not see it."""
        if not self.bars:
            return f"{self.title}: no data"
        first, last = self.bars[0], self.bars[-1]
        return f"{self.title}, from {first.name} ({first.value}) to {last.name} ({last.value})"


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: str  # of an SVG polyline, in a box of 100 by 100
    area: str  # of a polygon, down to zero
    kind: str  # the class it is drawn with


@dataclass(frozen=True, slots=True)
class LineChart:
    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    grid: tuple[Grid, ...]
    start: str
    end: str
    rows: tuple[tuple[str, ...], ...]  # of the table

    @property
    def summary(self) -> str:
        latest = self.rows[-1][1:] if self.rows else ()
        now = ", ".join(f"{name} {value}" for name, value in zip(self.columns[1:], latest, strict=False))
        return f"{self.title}: {now or 'no data'}"


def axis(highest: float) -> list[int]:
    """What is written at its lines: 1, 2 or 5 times a power of ten apart, at most MOST_STEPS, the last above all."""
    scale = 1
    while True:
        for step in (step * scale for step in STEPS):
            if step * MOST_STEPS >= highest:
                return [step * number for number in range(1, max(1, math.ceil(highest / step)) + 1)]
        scale *= 10


def bar_chart(
    title: str, columns: tuple[str, str], values: Sequence[tuple[str, int]], names: Sequence[str] | None = None
) -> BarChart:
    """A bar for each label and its value, in their order; names are what short labels stand for."""
    lines = axis(max((value for _, value in values), default=0))
    room = 100 / max(1, len(values))
    short = all(len(label) <= SHORT for label, _ in values)
    shown = labelled(len(values), SHOWN_SHORT_LABELS if short else SHOWN_LABELS)
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
    return BarChart(title, columns, tuple(bars), grid(lines))


def labelled(number: int, most: int) -> set[int]:
    """Which of so many columns have their label under them: the last, and those evenly before it."""
    return set(range(number - 1, -1, -max(1, math.ceil(number / most))))


def grid(lines: Sequence[int]) -> tuple[Grid, ...]:
    """The last one is the upper edge."""
    return tuple(Grid(round(100 - 100 * value / lines[-1], 2), brief(value)) for value in lines)


def brief(value: int) -> str:
    """`150`, `2k`, `2.5M`: four characters at most beside an axis."""
    for size, unit in UNITS:
        if value >= size:
            return f"{value / size:g}{unit}"
    return str(value)


def line_chart(
    title: str, at: str, times: Sequence[str], series: Sequence[tuple[str, str, Sequence[float]]]
) -> LineChart:
    """Of each series its name, its kind, and a value for each of the times, which are evenly apart."""
    levels = axis(max((value for *_, values in series for value in values), default=0))
    end = levels[-1]
    lines = tuple(Line(name, polyline(values, end), area(values, end), kind) for name, kind, values in series)
    rows = zip(times, *([f"{value:,.0f}" for value in values] for *_, values in series), strict=True)
    return LineChart(
        title,
        (at, *(name for name, *_ in series)),
        lines,
        grid(levels),
        times[0] if times else "",
        times[-1] if len(times) > 1 else "",
        tuple(rows),
    )


def polyline(values: Sequence[float], end: float) -> str:
    """In a box of 100 by 100, evenly apart; a single value is a line too."""
    across = [*values, *values] if len(values) == 1 else values
    step = 100 / max(1, len(across) - 1)
    return " ".join(f"{index * step:.2f},{100 - 100 * value / end:.2f}" for index, value in enumerate(across))


def area(values: Sequence[float], end: float) -> str:
    """What lies under the polyline."""
    return f"0,100 {polyline(values, end)} 100,100" if values else ""


def spark(values: Sequence[float], end: float) -> Line:
    """A line without axes; several with the same end can be compared."""
    return Line("", polyline(values, max(1, end)), area(values, max(1, end)), "spark")
