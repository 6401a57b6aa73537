"""Defines what an explanation of a learner's progress says: a tree that serialises to JSON.

By which event and from which source a lesson is met is not said here: the rows do not hold it.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Reason = Literal["complete", "newest", "no-version"]
State = Literal["completed", "waived", "replaced", "missing"]
Verdict = Literal["completed", "kept", "met-again", "reopened", "late", "not-complete"]
Ignored = Literal["optional", "not-in-version", "unknown", "before-reset", "waiver-withdrawn"]


class Part(BaseModel):
    """Serialises in camelCase over HTTP, as the other answers of the API do, and by its own names elsewhere."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True)


class Ground(Part):
    """Says why a lesson is met: itself, or one that it replaces, is completed or waived."""

    lesson_id: str = Field(description="The lesson itself, or one that it replaces")
    kind: Literal["completed", "waived"]
    at: datetime = Field(description="Its first completion, or waiver, since the last reset: the date that decides")
    reason: str | None = Field(description="Of a waiver")


class RequiredLesson(Part):
    """Describes a required lesson of a version, and how this learner stands to it."""

    lesson_id: str
    title: str | None
    section: str | None
    state: State = Field(description="replaced: met only by a lesson that it replaces")
    met_at: datetime | None = Field(description="The earliest date of `grounds`. Null: not met")
    grounds: list[Ground] = Field(description="Why it is met, the earliest first; empty: it is missing")
    completed_at: datetime | None = Field(description="The date shown in lists. Null: not completed itself")
    taken_back_at: datetime | None = Field(description="When its completion was taken back, if that is the latest")
    before_prerequisites: list[str] = Field(
        description="Lessons that it requires and that were met later than it, or are not. It counts all the same"
    )
    sentence: str


class IgnoredLesson(Part):
    """Describes a lesson that was completed or waived, and does not count."""

    lesson_id: str
    title: str | None
    why: Ignored
    at: datetime | None
    versions: list[int] = Field(description="The versions that name it, where it is not in the one that counts")
    sentence: str


class Arithmetic(Part):
    """Computes the percentage. `counted` is `met`, at most `needed`."""

    met: int = Field(description="How many of the required lessons are met")
    waived: int = Field(description="How many of them are waived, completed or not")
    counted: int
    needed: int | None = Field(description="Null: not known")
    exact: float = Field(description="100 * counted / needed, cut after one decimal")
    percentage: int = Field(description="To the nearest whole number; at most 99 before the course is complete")
    sentence: str


class VersionStep(Part):
    """Says what one version of the course, in its turn, made of this learner."""

    version: int
    title: str | None
    published_at: datetime
    in_force_from: datetime | None = Field(description="Null: always")
    in_force_until: datetime | None = Field(description="When the next version came into force. Null: still")
    policy: Literal["grandfather", "reopen"]
    required: int
    needed: int
    met: int
    met_enough_at: datetime | None = Field(
        description="When the needed lessons of this version were met. Null: they are not"
    )
    verdict: Verdict = Field(
        description="completed: under it. kept: complete before, and it keeps that. met-again: complete before, and it "
        "is met, too. reopened: complete before, and no longer. late: met only after the next version was in force"
    )
    sentence: str


class ChosenVersion(Part):
    """Says which version decides, and why that one."""

    version: int = Field(description="0: the course has none")
    newest: int = Field(description="0: the course has none")
    title: str | None
    published_at: datetime | None
    reason: Reason = Field(description="complete: the learner is complete under it. newest: under none, so the newest")
    sentence: str


class NewestSays(Part):
    """Says what the newest version would make of a learner who is complete under an earlier one."""

    version: int
    lessons: list[RequiredLesson]
    added: list[str] = Field(description="Those it requires, the earlier one did not, and that are not met")
    arithmetic: Arithmetic
    sentence: str


class Transition(Part):
    """Describes a completion or revocation that was announced."""

    type: Literal["CourseCompleted", "CourseCompletionRevoked"]
    completion_number: int
    at: datetime
    course_version: int
    cause: str
    recorded_at: datetime
    sentence: str


class StoredRow(Part):
    """Shows the numbers that every other answer has, as they are stored."""

    lessons_completed: int
    total_lessons: int | None
    progress_percentage: int
    completed_at: datetime | None
    completion_number: int
    course_version: int
    lessons_waived: int


class Recounting(Part):
    """Says that the rows of the course are being recounted for a new version."""

    version: int
    started_at: datetime
    rows_seen: int
    rows_expected: int | None
    passed: bool = Field(description="Whether this learner's row is done")
    sentence: str


class Explanation(Part):
    """Explains how far a learner is in a course, and why."""

    user_id: UUID
    course_id: UUID
    summary: str = Field(description="The answer in one or two sentences")
    row: StoredRow | None = Field(description="Null: the learner has no progress, or none since a reset")
    agrees: bool = Field(description="Whether `row` says what this explanation computes")
    version: ChosenVersion
    rule: str = Field(description="What completes the course, as a sentence")
    completed_at: datetime | None = Field(description="Null: not complete")
    arithmetic: Arithmetic
    lessons: list[RequiredLesson] = Field(
        description="The required lessons, in order. In a course without a version: the completed ones"
    )
    more_lessons: int = Field(description="How many completed lessons `lessons` leaves out")
    not_counting: list[IgnoredLesson]
    more_not_counting: int = Field(description="How many `notCounting` leaves out")
    reset_at: datetime | None = Field(description="Nothing that happened up to here counts")
    versions: list[VersionStep] = Field(description="What each version made of this learner, in order")
    newest: NewestSays | None = Field(description="Null: the newest version is the one that decides")
    transitions: list[Transition] = Field(description="The latest, in order")
    more_transitions: int = Field(description="How many earlier ones `transitions` leaves out")
    recount: Recounting | None = Field(description="Null: none is under way")
    deleted_at: datetime | None = Field(description="Since when the course is not offered. Null: it is")
