"""Defines the JSON that goes over HTTP, in camelCase. Bodies refuse members that they do not know."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from events.models import (
    EARLIEST,
    LESSON_EVENTS,
    LessonEvent,
    LessonId,
    TotalLessons,
    uuid_v8,
)
from worker.decode import AHEAD_S

BATCH = 500
MEMBERS = 16
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


def with_examples(*values: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": list(values)})


class CamelModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, from_attributes=True, frozen=True)


# Answers


class Progress(CamelModel):
    """Shows one learner's progress in one course."""

    model_config = with_examples(PROGRESS)

    user_id: UUID
    course_id: UUID
    lessons_completed: int
    total_lessons: int | None = Field(description="Null: not known yet")
    progress_percentage: int = Field(ge=0, le=100, description="100 exactly when the course is complete")
    completed_lessons: list[str] = Field(description="In the order they were completed")
    last_lesson_id: str | None
    last_accessed_at: datetime
    started_at: datetime
    completed_at: datetime | None
    completion_number: int = Field(description="How often the course has become complete")


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

    success: bool = Field(description="False: there was no progress, or an event with a later time decides")
    progress: Progress | None


class AcceptedAnswer(CamelModel):
    """Says that the event is stored durably and will be applied, but was not within the deadline."""

    model_config = with_examples({"accepted": True, "eventId": "b0a6a3c6-4a63-4dbb-9f5e-0d3c7c1a2f10"})

    accepted: Literal[True] = True
    event_id: str


class BatchResult(CamelModel):
    """Says what became of one event of a batch."""

    status: Literal["applied", "accepted", "rejected"] = Field(
        description="Accepted: stored durably, not yet applied. Rejected: not stored, and `errors` says why"
    )
    event_id: str | None = None
    errors: list[dict[str, str]] | None = None


class BatchAnswer(Answer):
    """Says what became of the events, in their order, and shows the courses they are about."""

    results: list[BatchResult]
    progress: list[Progress]


# Bodies


class ClosedModel(CamelModel):
    """Refuses unknown members, each by its name unless they are many."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _require_few_members(cls, body: Any) -> Any:
        # Naming the 80,000 members that fit into a body held up all other calls for a second.
        if isinstance(body, dict) and len(body) > MEMBERS:
            raise PydanticCustomError("too_many_members", "There are more than {most} members", {"most": MEMBERS})
        return body


class Body(ClosedModel):
    course_id: UUID


def _to_integer(number: Any) -> Any:
    """Takes 4.0 for the integer that it is in JSON; "4" and true are not integers."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


class LessonBody(Body):
    """Names a lesson, its course, and how many lessons the course has."""

    model_config = with_examples({"courseId": COURSE, "lessonId": "intro", "totalLessons": 12})

    lesson_id: LessonId
    total_lessons: Annotated[TotalLessons, BeforeValidator(_to_integer)]


class AccessBody(Body):
    """Names the course that was opened, and the lesson if there is one."""

    model_config = with_examples({"courseId": COURSE, "lessonId": "intro"})

    lesson_id: LessonId | None = None


class ResetBody(Body):
    """Names the course to start over."""

    model_config = with_examples({"courseId": COURSE})


def _require_not_ahead(at: datetime) -> datetime:
    """Refuses a time that a worker would replace by the time of sending (docs/rules.md), new with every sending."""
    if at > datetime.now(UTC) + timedelta(seconds=AHEAD_S):
        raise PydanticCustomError("ahead", "Ahead of this server's clock: set the device's, and send it later")
    return at


class BatchItem(CamelModel):
    """Holds an event, and when it happened to the learner by a clock that knows its offset from UTC."""

    type: str
    occurred_at: Annotated[AwareDatetime, Field(ge=EARLIEST), AfterValidator(_require_not_ahead)]

    def build_event(self, user_id: UUID) -> LessonEvent:
        return LESSON_EVENTS[self.type](user_id=user_id, **self.model_dump(exclude={"type", "occurred_at"}))

    def derive_event_id(self, user_id: UUID) -> str:
        """Returns an id that is the same whenever the device sends the event again."""
        return str(uuid_v8(f"{user_id}/{self.model_dump_json()}"))


def with_item_example(type: str, **data: Any) -> ConfigDict:
    return with_examples({"type": type, "courseId": COURSE, **data, "occurredAt": "2026-11-22T21:04:00+01:00"})


class CompletedItem(BatchItem, LessonBody):
    """A lesson was completed."""

    model_config = with_item_example("LessonCompleted", lessonId="intro", totalLessons=12)
    type: Literal["LessonCompleted"]


class UncompletedItem(BatchItem, LessonBody):
    """A lesson's completion was taken back."""

    model_config = with_item_example("LessonUncompleted", lessonId="intro", totalLessons=12)
    type: Literal["LessonUncompleted"]


class AccessedItem(BatchItem, AccessBody):
    """A course was opened."""

    model_config = with_item_example("CourseAccessed", lessonId="intro")
    type: Literal["CourseAccessed"]


class ResetItem(BatchItem, ResetBody):
    """A course was started over."""

    model_config = with_item_example("ProgressReset")
    type: Literal["ProgressReset"]


Item: TypeAlias = Annotated[CompletedItem | UncompletedItem | AccessedItem | ResetItem, Field(discriminator="type")]
ITEM: TypeAdapter[Item] = TypeAdapter(Item)


class BatchBody(ClosedModel):
    """Holds the events that happened while a device was offline. An invalid one is answered in its place."""

    events: list[Annotated[Item | dict[str, Any], Field(union_mode="left_to_right")]] = Field(
        min_length=1, max_length=BATCH
    )


def find_errors(item: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns pydantic's errors, which say why this is not an Item."""
    try:
        ITEM.validate_python(item)
    except ValidationError as error:
        return [{**e, "loc": ("body", *e["loc"][1:])} for e in error.errors(include_url=False, include_input=False)]
    return []


class ProblemAnswer(BaseModel):
    """Describes an error (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
