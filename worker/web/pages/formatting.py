"""Writes numbers and times as people say them. Pure."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

UNKNOWN = "—"
LONGEST_ID = 40
MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
UNITS = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (1, "second"))


def format_duration(seconds: float) -> str:
    """Writes a time in its largest unit alone: `3 days`, `1 hour`, `12 seconds`, `34 ms`."""
    if 0 < seconds < 1:
        return f"{max(1, round(seconds * 1000))} ms"
    for size, name in UNITS:
        if seconds >= size:
            return plural(int(seconds // size), name)
    return "0 seconds"


def format_ago(moment: datetime, now: datetime) -> str:
    """Writes `3 days ago`, or `just now` for the future too, because a clock may be ahead of ours."""
    seconds = (now - moment).total_seconds()
    return "just now" if seconds < MINUTE else f"{format_duration(seconds)} ago"


def plural(number: int, noun: str) -> str:
    """Writes `1 lesson` or `2 lessons`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_rate(per_s: float | None) -> str:
    """Writes events per second, or a dash where they are not known."""
    return UNKNOWN if per_s is None else f"{per_s:,.1f}" if 0 < per_s < 10 else f"{per_s:,.0f}"


def format_number(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def name_lesson(lesson_id: str) -> str:
    """Names a lesson without a title by its id, or by the end of a long one, because beginnings are alike."""
    try:
        return f"Lesson {shorten(UUID(lesson_id))}"
    except ValueError:
        return lesson_id if len(lesson_id) <= LONGEST_ID else f"…{lesson_id[1 - LONGEST_ID :]}"


def name_course(title: str | None, course_id: UUID) -> str:
    """Names a course by its title, or by its shortened id where it has none."""
    return title or f"Course {shorten(course_id)}"


def shorten(id: UUID) -> str:
    """Returns eight digits of an id: the first, or of version 7, which begins with the time, the last."""
    return str(id)[-8:] if id.version == 7 else str(id)[:8]


def format_ranges(numbers: Sequence[int]) -> str:
    """Writes `0-3, 7`, or a dash for none."""
    parts: list[list[int]] = []
    for value in numbers:
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts) or UNKNOWN
