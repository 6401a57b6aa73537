"""Defines the events as data: one frozen model per event type.

Unknown fields are ignored, so a producer may send more than this version knows. A change that
breaks a reader (a renamed field, a narrower range) is a new major version in the envelope's
`dataschema`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

# An earlier time comes from a broken clock.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
NAMESPACE = UUID("5b0c4b0e-6f0e-5b52-9d3c-0d6c1f6f0a55")

# PostgreSQL's text takes every character except NUL. pydantic refuses a lone surrogate, which is not a character.
LessonId = Annotated[
    str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$", description="Which lesson of the course")
]
# Strict: "5", 5.0 and true are signs of a broken producer, not numbers of lessons.
TotalLessons = Annotated[
    int, Field(strict=True, ge=1, le=10_000, description="Lessons the course has, at the time of the event")
]
LessonsCompleted = Annotated[int, Field(strict=True, ge=0, description="Lessons the learner has completed")]
CompletionNumber = Annotated[
    int,
    Field(
        strict=True,
        ge=1,
        description="1 for the learner's first completion of this course, then 2, 3 and so on",
    ),
]


class Event(BaseModel):
    """Names the learner and the course, as every event does."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    user_id: UUID
    course_id: UUID


class LessonCompleted(Event):
    """The learner completed the lesson."""

    lesson_id: LessonId
    total_lessons: TotalLessons


class LessonUncompleted(Event):
    """The learner, or an editor, took the completion of the lesson back."""

    lesson_id: LessonId
    total_lessons: TotalLessons


class CourseAccessed(Event):
    """The learner opened the course, at this lesson if one is named."""

    lesson_id: LessonId | None = None


class ProgressReset(Event):
    """The learner starts the course over: nothing up to this event's time counts any more."""


class CourseCompleted(Event):
    """Every lesson of the course is completed. Published at least once, always under the same event id."""

    completed_at: AwareDatetime
    completion_number: CompletionNumber
    lessons_completed: LessonsCompleted
    total_lessons: TotalLessons
    started_at: AwareDatetime


class CourseCompletionRevoked(Event):
    """The course is not complete any more: takes back the CourseCompleted of the same number."""

    revoked_at: AwareDatetime
    completion_number: CompletionNumber
    lessons_completed: LessonsCompleted
    total_lessons: TotalLessons | None


LessonEvent = LessonCompleted | LessonUncompleted | CourseAccessed | ProgressReset
CourseEvent = CourseCompleted | CourseCompletionRevoked

# The events of each topic, by the type's name in the envelope.
LESSON_EVENTS: Mapping[str, type[LessonEvent]] = {
    "LessonCompleted": LessonCompleted,
    "LessonUncompleted": LessonUncompleted,
    "CourseAccessed": CourseAccessed,
    "ProgressReset": ProgressReset,
}
COURSE_EVENTS: Mapping[str, type[CourseEvent]] = {
    "CourseCompleted": CourseCompleted,
    "CourseCompletionRevoked": CourseCompletionRevoked,
}


def course_event_id(type: str, user_id: UUID, course_id: UUID, completion_number: int) -> UUID:
    """Computes the id of a course event, the same for every publication. The SQL computes it too."""
    return uuid5(NAMESPACE, f"{type}/{user_id}/{course_id}/{completion_number}")
