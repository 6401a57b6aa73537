"""Makes of lesson rows the events that give them again. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from uuid import UUID

if TYPE_CHECKING:
    from asyncpg import Record

# At the same instant the last of these decides (rule 1 of docs/rules.md).
EVENTS = ("CourseAccessed", "LessonWaiverWithdrawn", "LessonWaived", "LessonUncompleted", "LessonCompleted")
Row: TypeAlias = "Mapping[str, Any] | Record"


class Fact(NamedTuple):
    """Says what happened, by the type of its lesson event."""

    event: str
    user: UUID
    course: UUID
    lesson: str | None  # None: the course was accessed
    total: int | None  # how many lessons the progress row has; None: not known
    time: datetime
    reason: str | None = None  # of a waiver


def list_facts(rows: Sequence[Row]) -> list[Fact]:
    """Lists the facts of one progress row in the order of their times.

    `rows` are those of `lessons.sql` for it. Applied to an empty table they give the same lesson rows, counts, first
    and last access, and the completion's date by rule 4, which is earlier where an earlier event had come late. They
    give neither the number of the completion nor a reset.
    """
    first = rows[0]
    found = [
        Fact(event, first["user_id"], first["course_id"], row["lesson_id"], first["total_lessons"], at, reason)
        for row in rows
        if row["lesson_id"] is not None
        for event, at, reason in (*list_completions(row), *list_waivers(row))
    ]
    known = {fact.time for fact in found}
    for at in sorted({first["started_at"], first["last_accessed_at"]} - known - {None}):
        found.append(Fact("CourseAccessed", first["user_id"], first["course_id"], None, first["total_lessons"], at))
    there = timezone(timedelta(minutes=first["utc_offset"]))  # where the learner was at the last access
    local = [
        fact._replace(time=fact.time.astimezone(there)) if fact.time == first["last_accessed_at"] else fact
        for fact in found
    ]
    return sorted(local, key=lambda fact: (fact.time, EVENTS.index(fact.event)))


def list_completions(row: Row) -> Iterator[tuple[str, datetime, None]]:
    """Yields the completions of a lesson row that are kept, and its last un-completion."""
    if row["changed_at"] is None:
        return
    times = set(row["completions"] or [row["completed_at"]]) - {None}
    if row["completed"]:
        times.add(row["changed_at"])
    yield from (("LessonCompleted", at, None) for at in sorted(times))
    taken_back = row["uncompleted_at"] or (None if row["completed"] else row["changed_at"])
    if taken_back:
        yield "LessonUncompleted", taken_back, None


def list_waivers(row: Row) -> Iterator[tuple[str, datetime, str | None]]:
    """Yields the waivers of a lesson, and the last withdrawal."""
    yield from (("LessonWaived", at, row["reason"]) for at in row["waived_at"] or ())
    if row["withdrawn_at"]:
        yield "LessonWaiverWithdrawn", row["withdrawn_at"], None
