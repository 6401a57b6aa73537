"""Defines the JSON that the API answers, in camelCase; bodies.py has what it takes."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from worker.courses.prerequisites import MissingLesson
from worker.learners.reads import MOST_LESSONS

COURSE = "0b9f7f0e-9b1a-4a51-8f0e-3a8d5f0c2d22"
USER = "6f1c1c9e-52a5-4a3c-9b64-0f3f0a5f7b11"
PROGRESS = {
    "userId": USER,
    "courseId": COURSE,
    "lessonsCompleted": 3,
    "totalLessons": 12,
    "progressPercentage": 25,
    "completedLessons": ["intro", "setup", "first-steps"],
    "lastLessonId": "first-steps",
    "lastAccessedAt": "2026-11-22T23:10:00Z",
    "startedAt": "2026-11-20T08:00:00Z",
    "completedAt": None,
    "completionNumber": 0,
}
AS_OF = "2026-11-22T23:10:00.042Z"
MOST_NAMED = 100  # missing lessons in an answer


def with_examples(*values: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": list(values)})


class CamelModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, from_attributes=True, frozen=True)


class Progress(CamelModel):
    """Shows one learner's progress in one course."""

    model_config = with_examples(PROGRESS)

    user_id: UUID
    course_id: UUID
    lessons_completed: int
    total_lessons: int | None = Field(description="Null: not known yet")
    progress_percentage: int = Field(ge=0, le=100, description="100 exactly when the course is complete")
    completed_lessons: list[str] = Field(
        description=f"In the order they were completed; at most {MOST_LESSONS} in one answer, all courses together"
    )
    more_lessons: int = Field(
        0,
        exclude_if=lambda more: more == 0,
        description="How many completed lessons `completedLessons` leaves out. Absent: none",
    )
    last_lesson_id: str | None
    last_accessed_at: datetime
    started_at: datetime
    completed_at: datetime | None
    completion_number: int = Field(description="The number of the latest completion; after a recovery it may skip")


class Answer(CamelModel):
    """Holds the members that every answer has."""

    as_of: datetime = Field(description="By the database's clock: everything committed before it is in this answer")

    def etag(self) -> str:
        """Returns the ETag of the content. It is weak, because `asOf` may differ."""
        content = self.model_dump_json(exclude={"as_of"})
        return f'W/"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'


class CourseAnswer(Answer):
    """Answers with the learner's progress in one course."""

    model_config = with_examples({"asOf": AS_OF, "progress": PROGRESS})

    progress: Progress


class ListAnswer(Answer):
    """Answers with courses of the learner, the latest accessed first."""

    model_config = with_examples({"asOf": AS_OF, "items": [PROGRESS], "nextCursor": None})

    items: list[Progress]
    next_cursor: str | None = Field(description="The next page's `cursor`. Null: this page is the last")


class CompletedLesson(CamelModel):
    """Names a completed lesson."""

    lesson_id: str
    completed_at: datetime


class LessonsAnswer(Answer):
    """Answers with lessons that the learner completed in a course, in that order."""

    model_config = with_examples(
        {"asOf": AS_OF, "items": [{"lessonId": "intro", "completedAt": "2026-11-20T08:00:00Z"}], "nextCursor": None}
    )

    items: list[CompletedLesson]
    next_cursor: str | None = Field(description="The next page's `cursor`. Null: this page is the last")


class RemovedAnswer(Answer):
    """Says that the course was reset: it has no progress any more."""

    course_id: UUID


class Stats(CamelModel):
    """Sums up all courses of the learner."""

    total_courses: int
    completed_courses: int
    in_progress_courses: int
    lessons_completed: int
    average_percentage: int


class StatsAnswer(Answer):
    """Answers with statistics over all courses; zeros without any."""

    stats: Stats


class WriteAnswer(Answer):
    """Says that the event is applied, and shows the progress after it."""

    model_config = with_examples({"asOf": AS_OF, "success": True, "progress": PROGRESS})

    success: bool = Field(
        description="False: it had no effect, because there was no progress, or an event with a later time decides"
    )
    progress: Progress | None


class AcceptedAnswer(CamelModel):
    """Says that the event is stored durably and will be applied, but was not within the deadline."""

    model_config = with_examples({"accepted": True, "eventId": "b0a6a3c6-4a63-4dbb-9f5e-0d3c7c1a2f10"})

    accepted: Literal[True] = True
    event_id: str


class LessonName(CamelModel):
    """Names a lesson by its id, and by its title in the newest version of the course."""

    lesson_id: str
    title: str | None


class CourseName(CamelModel):
    """Names a course by its id, and by the title of its newest version."""

    course_id: UUID
    title: str | None


class NextLesson(CamelModel):
    """Names a lesson, where it is listed, and its page in the website."""

    lesson_id: str
    title: str | None
    section: str | None
    href: str | None


class NextAnswer(Answer):
    """Says where the learner goes on in a course, or why nowhere."""

    model_config = with_examples(
        {
            "asOf": AS_OF,
            "courseId": COURSE,
            "next": {"lessonId": "verbs", "title": "Verbs", "section": "Grammar", "href": "/lessons/verbs"},
            "reason": None,
            "missing": [],
            "missingCourses": [],
            "lessonsAdded": 0,
        }
    )

    course_id: UUID
    next: NextLesson | None = Field(
        description="The first lesson, in the order of the newest version, that is required, not met and not locked"
    )
    reason: Literal["complete", "no-catalog", "locked", "course-locked"] | None = Field(
        description="Why there is none. Locked: what is left requires lessons that the course itself does not. "
        "Course-locked: other courses come first. No-catalog: the course has no version"
    )
    missing: list[LessonName] = Field(
        description=f"With `locked`: what is to be completed before the first lesson left, at most {MOST_NAMED}"
    )
    missing_courses: list[CourseName] = Field(
        description=f"With `course-locked`: the courses to be completed first, at most {MOST_NAMED}"
    )
    lessons_added: int = Field(
        description="How many required lessons came since the learner completed the course, and are not met"
    )


class MissingLessons(CamelModel):
    """Names the lessons to be completed first."""

    missing: list[LessonName] | None = Field(
        None,
        exclude_if=lambda missing: missing is None,
        description=f"The lessons to be completed first, at most {MOST_NAMED}. Absent: that is not the reason",
    )
    more_missing: int | None = Field(
        None, exclude_if=lambda more: more is None, description="How many `missing` leaves out. Absent: none"
    )

    @classmethod
    def of(cls, missing: Sequence[MissingLesson]) -> Self:
        names = [LessonName.model_validate(lesson) for lesson in missing[:MOST_NAMED]]
        return cls(missing=names, more_missing=len(missing) - len(names) or None)


class BatchResult(MissingLessons):
    """Says what became of one event of a batch."""

    status: Literal["applied", "no-effect", "accepted", "rejected"] = Field(
        description="No-effect: applied, and an event with a later time decides that is not behind it in the batch. "
        "Accepted: stored durably, not yet applied. Rejected: not stored, and `errors` says why"
    )
    event_id: str | None = None
    errors: list[dict[str, str]] | None = None


class BatchAnswer(Answer):
    """Says what became of the events, in their order, and shows the courses they are about."""

    results: list[BatchResult]
    progress: list[Progress]


class ProblemAnswer(BaseModel):
    """Describes an error (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
