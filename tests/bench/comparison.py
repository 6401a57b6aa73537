"""Compares the figures that two trees printed in turn: pure arithmetic over the benchmark's own Markdown."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from tests.bench import targets
from tests.bench.result import table

NUMBER = re.compile(r"(\d[\d,]*(?:\.(\d+))?)(?: (MB|bytes|ms|µs|s)\b)?(?: (?:\(|against |of ).*)?")
RATE = re.compile(r"\bevents/s$")
TIME = re.compile(r"\b(?:s|ms|µs)(?:/event\b.*)?$")
NONE = "none"
ABOUT = """\
Values are medians of {turns} turns. The ratio is the median of the turns' ratios. The spread goes from the lowest to
the highest of them; both ends include what rounding may have hidden. "none": the difference is not larger than the
spread is wide. Of two equal trees, three turns show about one figure in eleven as different, five turns one in 140:
repeat what matters with --turns 5."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Holds a printed number. The true value lies within `rounding` of it."""

    value: float
    rounding: float

    def __str__(self) -> str:
        return f"{self.value:,.0f}" if self.value >= 1000 else f"{self.value:.3g}"


Readings: TypeAlias = dict[str, Reading]  # by the name of the figure, which ends with its unit


@dataclass(frozen=True, slots=True)
class Comparison:
    """Holds one figure of two trees, with a reading of each per turn.

    Without a ratio where a reading of theirs is zero within its rounding: `ratio` and `spread` then raise
    ZeroDivisionError, or mean nothing.
    """

    figure: str
    ours: Sequence[Reading]
    theirs: Sequence[Reading]

    @property
    def has_ratio(self) -> bool:
        return all(reading.value > reading.rounding for reading in self.theirs)

    @property
    def ratio(self) -> float:
        return median(ours.value / theirs.value for ours, theirs in self._turns)

    @property
    def spread(self) -> tuple[float, float]:
        """Spans the lowest to the highest ratio that a turn's two readings may stand for."""
        lowest = min((o.value - o.rounding) / (t.value + t.rounding) for o, t in self._turns)
        highest = max((o.value + o.rounding) / (t.value - t.rounding) for o, t in self._turns)
        return lowest, highest

    @property
    def verdict(self) -> str:
        """Says `NONE`, or by how much this tree is faster, slower, more or less."""
        if not self.has_ratio:
            return "no ratio"
        lowest, highest = self.spread
        difference = self.ratio - 1
        if abs(difference) <= highest - lowest:
            return NONE
        grows = difference > 0
        if RATE.search(self.figure):
            word = "faster" if grows else "slower"
        elif TIME.search(self.figure):
            word = "slower" if grows else "faster"
        else:
            word = "more" if grows else "less"
        return f"{word} by {100 * abs(difference):.1f} %"

    @property
    def _turns(self) -> Iterator[tuple[Reading, Reading]]:
        return zip(self.ours, self.theirs, strict=True)


def compare(ours: Sequence[Readings], theirs: Sequence[Readings]) -> list[Comparison]:
    """Pairs the readings of each turn, in the order of printing. Leaves out a figure that a turn lacks."""
    common = [figure for figure in ours[0] if all(figure in turn for turn in (*ours, *theirs))]
    return [Comparison(name, [turn[name] for turn in ours], [turn[name] for turn in theirs]) for name in common]


def format_comparisons(comparisons: Sequence[Comparison], other: str) -> str:
    """Returns a table in Markdown, and how to read it. `other` names the other tree."""
    columns = ("figure", "this tree", other, "ratio", "spread", "difference")
    turns = len(comparisons[0].ours) if comparisons else 0
    return f"{table(columns, map(row, comparisons))}\n\n{ABOUT.format(turns=turns)}\n"


def row(comparison: Comparison) -> tuple[str, ...]:
    values = median_of(comparison.ours), median_of(comparison.theirs)
    ratio = spread = ""
    if comparison.has_ratio:
        ratio = f"{comparison.ratio:.3f}"
        spread = "{:.3f} to {:.3f}".format(*comparison.spread)
    return comparison.figure, *values, ratio, spread, comparison.verdict


def median_of(readings: Sequence[Reading]) -> str:
    return str(Reading(median(reading.value for reading in readings), rounding=0))


def read_figures(printed: str) -> Readings:
    """Reads every number in the tables that `python -m tests.bench` printed."""
    readings: Readings = {}
    for columns, rows in read_tables(printed):
        for cells in rows:
            readings |= read_target(cells) if columns == targets.COLUMNS else read_row(columns, cells)
    return readings


def read_tables(printed: str) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Yields each table's columns and rows."""
    for block in re.findall(r"(?:^\|.*\|$\n?)+", printed, re.MULTILINE):
        columns, _, *rows = (tuple(line[2:-2].split(" | ")) for line in block.splitlines())
        yield columns, rows


def read_target(cells: tuple[str, ...]) -> Readings:
    """Reads a target without a unit, which is a ratio. The others repeat the section's own table."""
    what, _, measured, _ = cells
    match = NUMBER.fullmatch(measured)
    return dict([name_reading(what, "", measured)]) if match and not match[3] else {}


def read_row(columns: tuple[str, ...], cells: tuple[str, ...]) -> Readings:
    """Reads a row of a section's table, which its first cell names, together with the texts right behind that."""
    first = next((n for n, cell in enumerate(cells) if n and NUMBER.fullmatch(cell)), len(cells))
    label = ", ".join(cells[:first])
    numbers = zip(complete_headings(columns)[first:], cells[first:], strict=True)
    return dict(name_reading(label, heading, cell) for heading, cell in numbers if NUMBER.fullmatch(cell))


def complete_headings(columns: tuple[str, ...]) -> list[str]:
    """Repeats what stands before a heading's colon in the single words behind it: "CPU: database", "broker"."""
    shared, headings = "", []
    for column in columns:
        if ": " in column:
            shared = column[: column.index(": ") + 2]
            headings.append(column)
        else:
            shared = shared if column.isalpha() else ""
            headings.append(shared + column)
    return headings


def name_reading(label: str, heading: str, cell: str) -> tuple[str, Reading]:
    """Returns a figure's name and its reading, of a cell that `NUMBER` matches whole."""
    match = NUMBER.fullmatch(cell)
    assert match
    number, decimals, unit = match.groups()
    name = f"{label}, {unit}" if unit else f"{label}: {heading}" if heading else label
    return name, Reading(float(number.replace(",", "")), 0.5 / 10 ** len(decimals or ""))
