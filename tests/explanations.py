"""Recomputes a progress row from the JSON of an explanation alone; shares no logic with what explains."""

from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from typing import Any

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
FAR_OFF = datetime(9999, 1, 1, tzinfo=UTC)


def recompute(told: dict[str, Any]) -> dict[str, Any]:
    """Returns the row that the lessons, the versions and the arithmetic of an explanation lead to.

    Raises AssertionError where parts of it contradict each other.
    """
    number, completed_at = recompute_version(told["versions"])
    row = told["row"]
    if not told["versions"]:
        met = len(told["lessons"]) + told["moreLessons"]
        needed = told["arithmetic"]["needed"]
        completed_at = moment(told["completedAt"], None) if needed and met >= needed else None
        counted, waived = met, 0
    else:
        step = next(step for step in told["versions"] if step["version"] == number)
        met, counted, needed, waived = recompute_lessons(told["lessons"], step)
        assert told["version"]["version"] == number
        require_newest(told, number)
    percentage = recompute_percentage(counted, needed)
    arithmetic = told["arithmetic"]
    assert (arithmetic["met"], arithmetic["counted"], arithmetic["needed"]) == (met, counted, needed)
    assert arithmetic["percentage"] == percentage, arithmetic
    assert moment(told["completedAt"], None) == completed_at
    assert (completed_at is not None) == (percentage == 100)
    return {
        "course_version": number,
        "lessons_completed": counted,
        "total_lessons": needed,
        "progress_percentage": percentage,
        "lessons_waived": waived,
        "completed_at": completed_at,
        "completion_number": row and recompute_number(told),
    }


def recompute_version(steps: list[dict[str, Any]]) -> tuple[int, datetime | None]:
    """Finds the version that decides, and the date of completion: rules 9 to 11, from each version's dates."""
    held: tuple[int, datetime] | None = None
    for step in steps:
        since, until = moment(step["inForceFrom"], LONG_AGO), moment(step["inForceUntil"], FAR_OFF)
        enough = moment(step["metEnoughAt"], FAR_OFF)
        assert since is not None
        assert until is not None
        assert enough is not None
        assert (enough < FAR_OFF) == (step["met"] >= step["needed"])
        if held and step["policy"] == "reopen":
            held = (step["version"], held[1]) if enough <= max(held[1], since) else None
        if not held and enough < FAR_OFF and max(enough, since) < until:
            held = (step["version"], max(enough, since))
    for before, after in pairwise(steps):
        begins = max(moment(before["inForceFrom"], LONG_AGO) or LONG_AGO, datetime.fromisoformat(after["publishedAt"]))
        assert moment(before["inForceUntil"], None) == moment(after["inForceFrom"], None) == begins
    return held or (steps[-1]["version"] if steps else 0, None)


def recompute_lessons(lessons: list[dict[str, Any]], step: dict[str, Any]) -> tuple[int, int, int, int]:
    """Counts the lessons of a version: met, counted, needed, waived. They must lead to the date of the version."""
    dates = sorted(
        min(datetime.fromisoformat(g["at"]) for g in lesson["grounds"]) for lesson in lessons if lesson["grounds"]
    )
    needed = int(step["needed"])
    assert (len(lessons), len(dates)) == (step["required"], step["met"])
    assert moment(step["metEnoughAt"], None) == (dates[needed - 1] if len(dates) >= needed else None)
    waived = sum(any(ground["kind"] == "waived" for ground in lesson["grounds"]) for lesson in lessons)
    return len(dates), min(len(dates), needed), needed, waived


def require_newest(told: dict[str, Any], number: int) -> None:
    newest = told["versions"][-1]
    assert (told["newest"] is None) == (newest["version"] == number)
    if told["newest"]:
        _, counted, needed, _ = recompute_lessons(told["newest"]["lessons"], newest)
        assert told["newest"]["arithmetic"]["percentage"] == recompute_percentage(counted, needed)


def recompute_percentage(counted: int, needed: int | None) -> int:
    """Rule 3, in exact fractions."""
    if not needed:
        return 0
    exact = Fraction(100 * counted, needed)
    return 100 if counted >= needed else min(99, int(exact + Fraction(1, 2)))


def recompute_number(told: dict[str, Any]) -> int:
    """Returns the number of the latest completion, from the transitions: the latest of them says what the row says."""
    latest = told["transitions"][-1] if told["transitions"] else None
    assert (told["completedAt"] is not None) == (latest is not None and latest["type"] == "CourseCompleted")
    return int(latest["completionNumber"]) if latest else 0


def moment(text: str | None, otherwise: datetime | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else otherwise
