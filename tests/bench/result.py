"""Holds the results of a section, and formats tables in Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import nan


@dataclass(frozen=True, slots=True)
class Figure:
    """Holds the number that a target is compared with, the absolute figures beside it, and what bounds it."""

    value: float
    absolute: str = ""
    bound: str = ""


@dataclass
class Result:
    """Holds a section's table and its figures for the table of targets. `loop_ms`: `speed_ms()` before and after it."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)
    loop_ms: tuple[float, float] = (nan, nan)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Formats a table in Markdown."""
    return "\n".join(row(cells) for cells in (columns, ["---"] * len(columns), *rows))


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
