"""Reads what decides how far a learner is in a course: the facts of one snapshot, which explain.py explains."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, Protocol
from uuid import UUID

from pydantic import TypeAdapter

from worker.postgres.connection import query

MOST_UNNAMED = 2000  # lessons that no version names
MOST_TRANSITIONS = 200


@dataclass(frozen=True, slots=True)
class Row:
    """Holds a progress row as it is stored. Without `last_accessed_at` it is reset, and readers do not see it."""

    lessons_completed: int
    total_lessons: int | None
    progress_percentage: int
    completed_at: datetime | None
    completion_number: int
    course_version: int
    lessons_waived: int
    started_at: datetime | None
    last_accessed_at: datetime | None
    reset_at: datetime | None


@dataclass(frozen=True, slots=True)
class VersionLesson:
    """Names a lesson of a version."""

    lesson_id: str
    required: bool


@dataclass(frozen=True, slots=True)
class Version:
    """Describes a version of the course, with its lessons in order."""

    version: int
    published_at: datetime
    policy: Literal["grandfather", "reopen"]
    needed: int
    title: str | None
    lessons: tuple[VersionLesson, ...]

    @property
    def required(self) -> list[str]:
        """Returns the ids of the required lessons, in order."""
        return [lesson.lesson_id for lesson in self.lessons if lesson.required]


@dataclass(frozen=True, slots=True)
class LessonContent:
    """Holds what a version says of a lesson, as far as an explanation needs it."""

    lesson_id: str
    title: str | None = None
    section: str | None = None
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LessonFact:
    """Tells the state of a lesson; `first_at` is its first completion since the last reset (rule 8)."""

    lesson_id: str
    completed: bool
    completed_at: datetime | None
    first_at: datetime | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class WaiverFact:
    """Tells when a lesson was waived, and when the last waiver was withdrawn."""

    lesson_id: str
    waived_at: tuple[datetime, ...]
    withdrawn_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class TransitionFact:
    """Describes a completion or a revocation, as it was announced."""

    type: Literal["CourseCompleted", "CourseCompletionRevoked"]
    completion_number: int
    occurred_at: datetime
    course_version: int
    cause: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class RecountFact:
    """Describes a recount of the course that is under way; `passed`: this learner's row is done."""

    version: int
    started_at: datetime
    rows_seen: int
    rows_expected: int | None
    passed: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Holds all that decides how far a learner is in a course, as of one instant.

    `replacements` are pairs of a lesson and one that it replaces, over all versions and transitively. `row` is None for
    a learner who has not begun, `versions` empty for a course that has none.
    """

    as_of: datetime
    user_id: UUID
    course_id: UUID
    row: Row | None
    deleted_at: datetime | None = None
    versions: tuple[Version, ...] = ()
    lesson_contents: dict[int, tuple[LessonContent, ...]] | None = None
    replacements: tuple[tuple[str, str], ...] = ()
    lessons: tuple[LessonFact, ...] = ()
    unnamed_completed: int = 0  # how many lessons that no version names are completed; `lessons` may have fewer
    waivers: tuple[WaiverFact, ...] = ()
    transitions: tuple[TransitionFact, ...] = ()
    transitions_known: int = 0  # of which `transitions` has the latest
    recount: RecountFact | None = None

    @property
    def is_empty(self) -> bool:
        """Tells whether there is nothing to explain: no version of the course, and no row of this learner."""
        return self.row is None and not self.versions


class Fetches(Protocol):
    """Runs statements: a connection, or a pool of them."""

    async def fetch(self, statement: str, /, *arguments: Any) -> Sequence[Any]:
        """Returns the rows."""


@cache
def _parser() -> TypeAdapter[Facts]:
    return TypeAdapter(Facts)


async def read_facts(connection: Fetches, user_id: UUID, course_id: UUID) -> Facts:
    """Reads the facts with one statement. With a pool it raises DatabaseUnavailable."""
    [row] = await connection.fetch(query("courses/explain_facts"), user_id, course_id, MOST_UNNAMED, MOST_TRANSITIONS)
    return _parser().validate_json(row["facts"])
