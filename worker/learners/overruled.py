"""Tells which events about a learner had no effect, because something later is known: by the rows after them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from events.models import (
    CourseAccessed,
    LessonCompleted,
    LessonEvent,
    LessonUncompleted,
    LessonWaived,
    LessonWaiverWithdrawn,
    ProgressReset,
)
from worker.learners.reads import CourseProgress, ProgressReader

# What overrules an event: an event of this course, of this lesson (ProgressReset: a reset; None: of any kind), at this
# time (None: not known, because a reset hides the progress row).
Ruling = tuple[UUID, str | type[ProgressReset] | None, datetime | None]
Sent = tuple[LessonEvent, datetime]


async def find_overruled(
    reads: ProgressReader, user_id: UUID, sent: Sequence[Sent], before: Mapping[UUID, CourseProgress]
) -> list[bool]:
    """Tells of each event of an applied batch whether something later, which is known, leaves it without effect.

    An event that another behind it in the batch overrules has had its effect. `before` has the progress before the
    batch, in the courses that it resets. One query for all. Raises DatabaseUnavailable.
    """
    named = [(event.course_id, getattr(event, "lesson_id", None)) for event, _ in sent]
    columns = [course for course, _ in named], [lesson for _, lesson in named]
    rows = await reads.fetch("learners/latest_known", user_id, *columns) if sent else []
    known = {(row["course_id"], row["lesson_id"]): row for row in rows}
    began = find_beginnings(sent, before)
    behind = Behind()
    found = []
    for name, (event, at) in reversed(list(zip(named, sent, strict=True))):
        ruling = find_ruling(event, at, known[name], began.get(event.course_id))
        found.append(ruling is not None and not behind.has(ruling, at))
        behind.add(event, at)
    return found[::-1]


async def is_waiver_overruled(reads: ProgressReader, event: LessonWaived | LessonWaiverWithdrawn, at: datetime) -> bool:
    """Tells whether something later is known than this waiver, or withdrawal, that is applied. A tie is a waiver's.

    Raises DatabaseUnavailable.
    """
    [row] = await reads.fetch("learners/known_waiver", event.user_id, event.course_id, event.lesson_id, at)
    waived_at, withdrawn_at = row["waived_at"], row["withdrawn_at"]
    if isinstance(event, LessonWaived):
        return not row["counts"] or (withdrawn_at is not None and withdrawn_at > at)
    return not row["counts"] or withdrawn_at != at or (waived_at is not None and waived_at >= at)


def find_beginnings(sent: Sequence[Sent], before: Mapping[UUID, CourseProgress]) -> dict[UUID, datetime]:
    """Returns by course the earliest time that was known before the batch, or that the batch tells."""
    began = {course_id: progress.started_at for course_id, progress in before.items()}
    for event, at in sent:
        if not isinstance(event, ProgressReset):
            began[event.course_id] = min(at, began.get(event.course_id, at))
    return began


def find_ruling(event: LessonEvent, at: datetime, row: Any, began: datetime | None) -> Ruling | None:
    """Returns what overrules the event by the rows after it; None: nothing does.

    A reset is overruled by a later one, or where all that was known, since `began`, is later.
    """
    course, seen, reset = event.course_id, row["last_accessed_at"], row["reset_at"]
    if isinstance(event, ProgressReset):
        if reset is not None and reset > at:
            return course, ProgressReset, reset
        return (course, None, seen) if seen is not None and seen > at and (began is None or began > at) else None
    if seen is None or (reset is not None and reset >= at):
        return course, ProgressReset, reset
    match event:
        case CourseAccessed():
            return (course, None, seen) if seen > at else None
        case LessonCompleted(lesson_id=lesson) | LessonUncompleted(lesson_id=lesson):
            return find_lesson_ruling(event, at, row, (course, lesson, row["changed_at"]))
    return None


def find_lesson_ruling(event: LessonEvent, at: datetime, row: Any, latest: Ruling) -> Ruling | None:
    """Returns what overrules the event of a lesson: the latest one, unless this is it, or gives the lesson its date."""
    if row["changed_at"] is None:
        return event.course_id, ProgressReset, None
    if row["completed"] == isinstance(event, LessonCompleted) and at in (row["changed_at"], row["completed_at"]):
        return None
    return latest


class Behind:
    """Remembers the events that are behind another in its batch."""

    def __init__(self) -> None:
        self._rulings: set[Ruling] = set()
        self._resets: dict[UUID, datetime] = {}

    def add(self, event: LessonEvent, at: datetime) -> None:
        course = event.course_id
        what = ProgressReset if isinstance(event, ProgressReset) else getattr(event, "lesson_id", None)
        self._rulings |= {(course, what, at), (course, None, at)}
        if isinstance(event, ProgressReset):
            self._resets[course] = max(at, self._resets.get(course, at))

    def has(self, ruling: Ruling, at: datetime) -> bool:
        """Tells whether one of them is what overrules an event at this time."""
        course, _, ruled_at = ruling
        if ruled_at is None:
            return course in self._resets and self._resets[course] >= at
        return ruling in self._rulings
