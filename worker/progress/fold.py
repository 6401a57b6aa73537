"""Folds one batch of occurrences by the rules of progress into at most one change per progress row.

Pure: no clock, no I/O. `docs/rules.md` states the rules; `apply.sql` joins the folded batch with the stored rows.
Folding is associative except in one case: an un-completion arrives after two or more completions that happened later
than it. Then a lesson's `completed_at` is the latest of these completions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from events.models import CourseAccessed, LessonCompleted, LessonUncompleted, ProgressReset
from worker.stream.outcome import Occurrence

T = TypeVar("T")
CourseKey = tuple[UUID, UUID]  # (user_id, course_id): one progress row


@dataclass(slots=True)
class LessonChange:
    """Keeps what a batch changes in one lesson (rule 1).

    It is a last-writer-wins register; at the same instant completed wins. The completions that count are those
    since the last un-completion. The first of them gives `completed_at`.
    """

    first_completed_at: datetime | None = None
    last_completed_at: datetime | None = None
    uncompleted_at: datetime | None = None

    def complete(self, at: datetime) -> None:
        if self.uncompleted_at is not None and at < self.uncompleted_at:
            return
        if self.first_completed_at is None or at < self.first_completed_at:
            self.first_completed_at = at
        if self.last_completed_at is None or at > self.last_completed_at:
            self.last_completed_at = at

    def uncomplete(self, at: datetime) -> None:
        if self.uncompleted_at is not None and at <= self.uncompleted_at:
            return
        self.uncompleted_at = at
        if self.last_completed_at is None or self.first_completed_at is None:
            return
        if self.last_completed_at < at:
            self.first_completed_at = self.last_completed_at = None
        elif self.first_completed_at < at:
            self.first_completed_at = self.last_completed_at


@dataclass(slots=True)
class CourseChange:
    """Keeps what a batch changes in one progress row. Pairs compare by time first (rules 2 and 5)."""

    topic: str
    partition: int
    started_at: datetime
    last_accessed_at: datetime
    total: tuple[datetime, int] | None = None
    last_lesson: tuple[datetime, str] | None = None
    lessons: dict[str, LessonChange] = field(default_factory=dict)

    def add(self, occurrence: Occurrence) -> None:
        at = occurrence.occurred_at
        if at < self.started_at:
            self.started_at = at
        if at > self.last_accessed_at:
            self.last_accessed_at = at
        match occurrence.event:
            case LessonCompleted(lesson_id=lesson_id, total_lessons=total):
                self._note_visit(at, lesson_id)
                self._change_lesson(at, lesson_id, total).complete(at)
            case LessonUncompleted(lesson_id=lesson_id, total_lessons=total):
                self._change_lesson(at, lesson_id, total).uncomplete(at)
            case CourseAccessed(lesson_id=str(lesson_id)):
                self._note_visit(at, lesson_id)

    def _change_lesson(self, at: datetime, lesson_id: str, total: int) -> LessonChange:
        if self.total is None or (at, total) > self.total:
            self.total = (at, total)
        lesson = self.lessons.get(lesson_id)
        if lesson is None:
            lesson = self.lessons[lesson_id] = LessonChange()
        return lesson

    def _note_visit(self, at: datetime, lesson_id: str) -> None:
        if self.last_lesson is None or (at, lesson_id) > self.last_lesson:
            self.last_lesson = (at, lesson_id)


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


def fold(occurrences: Sequence[Occurrence]) -> FoldedBatch:
    """Folds a batch. The order of its events, and repetitions of them, do not change the result."""
    resets = _find_latest_resets(occurrences)
    courses: dict[CourseKey, CourseChange] = {}
    for occurrence in _drop_forgotten(occurrences, resets) if resets else occurrences:
        key = (occurrence.event.user_id, occurrence.event.course_id)
        course = courses.get(key)
        if course is None:
            at = occurrence.occurred_at
            course = courses[key] = CourseChange(occurrence.topic, occurrence.partition, at, at)
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
