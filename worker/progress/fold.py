"""Folds one batch of occurrences by the rules of progress into at most one change per progress row.

Pure: no clock, no I/O. `docs/rules.md` states the rules; `apply.sql` joins the folded batch with the stored rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from events.models import (
    LEARNER,
    CourseAccessed,
    LessonCompleted,
    LessonUncompleted,
    LessonWaived,
    LessonWaiverWithdrawn,
    ProgressReset,
)
from worker.stream.outcome import Occurrence

T = TypeVar("T")
CourseKey = tuple[UUID, UUID]  # (user_id, course_id): one progress row
WAIVED = "waived"  # the cause of what a waiver, or its withdrawal, changes


@dataclass(slots=True)
class LessonChange:
    """Keeps what a batch says of one lesson (rule 1): when it was completed, in any order, and last un-completed."""

    completions: list[datetime] = field(default_factory=list)
    uncompleted_at: datetime | None = None


@dataclass(slots=True)
class WaiverChange:
    """Keeps what a batch says of the waiver of one lesson (rule 8)."""

    waived: list[datetime] = field(default_factory=list)
    withdrawn_at: datetime | None = None
    reason: tuple[datetime, str] | None = None  # of the latest waiver


@dataclass(slots=True)
class CourseChange:
    """Keeps what a batch changes in one progress row. Pairs compare by time first (rules 2 and 5)."""

    topic: str
    partition: int
    started_at: datetime
    last_accessed_at: datetime
    utc_offset: int  # of the last access, in minutes; of several at that instant, the largest
    causes: set[str | None] = field(default_factory=set)  # None: the learner
    total: tuple[datetime, int] | None = None
    last_lesson: tuple[datetime, str] | None = None
    lessons: dict[str, LessonChange] = field(default_factory=dict)
    waivers: dict[str, WaiverChange] = field(default_factory=dict)

    @property
    def cause(self) -> str:
        """Returns what has caused these changes: of several causes, learner, else waived, else the first by name."""
        if None in self.causes or LEARNER in self.causes:
            return LEARNER
        return WAIVED if WAIVED in self.causes else min(filter(None, self.causes))

    def add(self, occurrence: Occurrence) -> None:
        at = occurrence.occurred_at
        if at < self.started_at:
            self.started_at = at
        if (at, occurrence.utc_offset) > (self.last_accessed_at, self.utc_offset):
            self.last_accessed_at, self.utc_offset = at, occurrence.utc_offset
        cause = occurrence.cause
        match occurrence.event:
            case LessonCompleted(lesson_id=lesson_id, total_lessons=total):
                self._note_visit(at, lesson_id)
                self._note_total(at, total)
                self._change_lesson(lesson_id).completions.append(at)
            case LessonUncompleted(lesson_id=lesson_id, total_lessons=total):
                self._note_total(at, total)
                lesson = self._change_lesson(lesson_id)
                if lesson.uncompleted_at is None or at > lesson.uncompleted_at:
                    lesson.uncompleted_at = at
            case CourseAccessed(lesson_id=visited, total_lessons=total):
                self._note_total(at, total)
                if visited is not None:
                    self._note_visit(at, visited)
            case LessonWaived() | LessonWaiverWithdrawn() as event:
                self._note_waiver(at, event)
                cause = cause or WAIVED
        self.causes.add(cause)

    def _change_lesson(self, lesson_id: str) -> LessonChange:
        lesson = self.lessons.get(lesson_id)
        if lesson is None:
            lesson = self.lessons[lesson_id] = LessonChange()
        return lesson

    def _note_total(self, at: datetime, total: int | None) -> None:
        if total is not None and (self.total is None or (at, total) > self.total):
            self.total = (at, total)

    def _note_visit(self, at: datetime, lesson_id: str) -> None:
        if self.last_lesson is None or (at, lesson_id) > self.last_lesson:
            self.last_lesson = (at, lesson_id)

    def _note_waiver(self, at: datetime, event: LessonWaived | LessonWaiverWithdrawn) -> None:
        waiver = self.waivers.setdefault(event.lesson_id, WaiverChange())
        if isinstance(event, LessonWaived):
            waiver.waived.append(at)
            waiver.reason = max(waiver.reason or (at, event.reason), (at, event.reason))
        elif waiver.withdrawn_at is None or at > waiver.withdrawn_at:
            waiver.withdrawn_at = at


@dataclass(frozen=True, slots=True)
class Reset:
    """Marks the latest reset of a progress row in a batch (rule 6): no event of the row up to `reset_at` counts."""

    reset_at: datetime
    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class FoldedBatch:
    """Holds a folded batch: at most one entry per progress row, each dict sorted by key."""

    courses: dict[CourseKey, CourseChange]
    resets: dict[CourseKey, Reset]

    @property
    def has_waivers(self) -> bool:
        return any(change.waivers for change in self.courses.values())


def fold(occurrences: Sequence[Occurrence]) -> FoldedBatch:
    """Folds a batch. The order of its events, and repetitions of them, do not change the result."""
    resets = _find_latest_resets(occurrences)
    courses: dict[CourseKey, CourseChange] = {}
    for occurrence in _drop_forgotten(occurrences, resets) if resets else occurrences:
        key = (occurrence.event.user_id, occurrence.event.course_id)
        course = courses.get(key)
        if course is None:
            at = occurrence.occurred_at
            course = courses[key] = CourseChange(occurrence.topic, occurrence.partition, at, at, occurrence.utc_offset)
        course.add(occurrence)
    return FoldedBatch(_sort_for_locking(courses), _sort_for_locking(resets))


def _find_latest_resets(occurrences: Iterable[Occurrence]) -> dict[CourseKey, Reset]:
    latest: dict[CourseKey, Reset] = {}
    for o in occurrences:
        if isinstance(o.event, ProgressReset):
            key = (o.event.user_id, o.event.course_id)
            if key not in latest or latest[key].reset_at < o.occurred_at:
                latest[key] = Reset(o.occurred_at, o.topic, o.partition)
    return latest


def _drop_forgotten(occurrences: Iterable[Occurrence], resets: dict[CourseKey, Reset]) -> Iterator[Occurrence]:
    """Yields the occurrences later than their row's reset (rule 6), so the resets themselves go too."""
    for o in occurrences:
        reset = resets.get((o.event.user_id, o.event.course_id))
        if reset is None or o.occurred_at > reset.reset_at:
            yield o


def _sort_for_locking(by_key: dict[CourseKey, T]) -> dict[CourseKey, T]:
    """Sorts by key, so that workers that meet on some rows lock them in the same order.

    It compares ints, because comparing UUIDs runs Python code.
    """
    return dict(sorted(by_key.items(), key=_as_ints))


def _as_ints(item: tuple[CourseKey, Any]) -> tuple[int, int]:
    user_id, course_id = item[0]
    return user_id.int, course_id.int
