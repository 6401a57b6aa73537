"""States the rules of progress as plainly as possible, over all events at once; tests and the demo compare with it.

It is slow, knows nothing of order, repetition or batches, and shares no logic with `fold.py` or the SQL. It leaves out
the dates of completion, because some depend on the order of arrival: tests/progress/test_rules.py checks them.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import asyncpg

from events.models import CourseAccessed, LessonCompleted, LessonEvent, LessonUncompleted, ProgressReset
from worker.postgres.connection import query
from worker.progress.fold import CourseKey


class ProgressRow(NamedTuple):
    """Holds what a reader of course_progress must find, in whatever order the events arrived."""

    completed_lessons: frozenset[str]
    lessons_completed: int
    total_lessons: int | None
    progress_percentage: int
    complete: bool
    last_lesson_id: str | None
    last_accessed_at: datetime


def expect_rows(events: Iterable[tuple[LessonEvent, datetime]]) -> dict[CourseKey, ProgressRow]:
    """Returns the visible rows after these events, each given with its `occurred_at`, already clamped."""
    by_row: dict[CourseKey, list[tuple[datetime, LessonEvent]]] = defaultdict(list)
    for event, at in events:
        by_row[event.user_id, event.course_id].append((at, event))
    rows = {key: _build_row(_drop_forgotten(history)) for key, history in by_row.items()}
    return {key: row for key, row in rows.items() if row}


def _drop_forgotten(history: list[tuple[datetime, LessonEvent]]) -> list[tuple[datetime, LessonEvent]]:
    resets = [at for at, event in history if isinstance(event, ProgressReset)]
    return [(at, event) for at, event in history if not resets or at > max(resets)]  # rule 6


def _build_row(history: list[tuple[datetime, LessonEvent]]) -> ProgressRow | None:
    if not history:
        return None
    lesson_events = [(at, e) for at, e in history if isinstance(e, LessonCompleted | LessonUncompleted)]
    lessons: dict[str, tuple[datetime, bool]] = {}
    for at, e in lesson_events:
        state = (at, isinstance(e, LessonCompleted))
        lessons[e.lesson_id] = max(lessons.get(e.lesson_id, state), state)  # rule 1
    done = frozenset(lesson_id for lesson_id, (_, completed) in lessons.items() if completed)
    totals = [
        (at, e.total_lessons)
        for at, e in history
        if isinstance(e, LessonCompleted | LessonUncompleted | CourseAccessed) and e.total_lessons
    ]
    total = max(totals, default=(None, None))[1]  # rule 2
    complete = total is not None and len(done) >= total  # rule 4
    nearest = (200 * len(done) + total) // (2 * total) if total else 0
    visits = [(at, e) for at, e in history if isinstance(e, LessonCompleted | CourseAccessed)]
    named = [(at, e.lesson_id) for at, e in visits if e.lesson_id]  # rule 5
    return ProgressRow(
        completed_lessons=done,
        lessons_completed=len(done),
        total_lessons=total,
        progress_percentage=100 if complete else min(99, nearest),  # rule 3
        complete=complete,
        last_lesson_id=max(named)[1] if named else None,
        last_accessed_at=max(at for at, _ in history),
    )


async def read_rows(connection: asyncpg.Connection) -> dict[CourseKey, ProgressRow]:
    """Reads the visible rows of the database into the same form as `expect_rows` returns."""
    rows = await connection.fetch(query("progress/rows"))
    return {
        (row["user_id"], row["course_id"]): ProgressRow(
            **{name: row[name] for name in ProgressRow._fields}
            | {"completed_lessons": frozenset(row["completed_lessons"])}
        )
        for row in rows
    }


def find_wrong_rows(wanted: dict[CourseKey, ProgressRow], found: dict[CourseKey, ProgressRow]) -> list[str]:
    """Returns one line per row that is missing, superfluous or different."""
    keys = sorted(wanted.keys() | found.keys())
    return [f"{k}: wanted {wanted.get(k)}, found {found.get(k)}" for k in keys if wanted.get(k) != found.get(k)]
