"""Defines the JSON bodies that the API takes, in camelCase. They refuse members that they do not know."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from events.json_types import Id, Instant, Whole
from events.models import (
    AHEAD_S,
    EARLIEST,
    LESSON_EVENTS,
    LessonEvent,
    LessonId,
    TotalLessons,
    uuid_v8,
)
from worker.web.api.schemas import COURSE, CamelModel, with_examples

BATCH = 500
MEMBERS = 16


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
    course_id: Id


Total = Annotated[
    TotalLessons | None, Field(description="Decides nothing in a course with versions; another course needs it")
]


class LessonBody(Body):
    """Names a lesson, its course, and how many lessons the course has."""

    model_config = with_examples({"courseId": COURSE, "lessonId": "intro", "totalLessons": 12})

    lesson_id: LessonId
    total_lessons: Total = None


class AccessBody(Body):
    """Names the course that was opened, the lesson if there is one, and how many lessons the course has if known."""

    model_config = with_examples({"courseId": COURSE, "lessonId": "intro"})

    lesson_id: LessonId | None = None
    total_lessons: Total = None


class NowBody(ClosedModel):
    """Says by what clock the learner's now is."""

    utc_offset_minutes: Annotated[int, Field(strict=True, ge=-840, le=840), Whole] = Field(
        0, description="Of the learner's clock: 120 is two hours ahead of UTC. The event keeps it"
    )

    def now(self) -> datetime:
        return datetime.now(timezone(timedelta(minutes=self.utc_offset_minutes)))


class CompleteBody(NowBody, LessonBody):
    """Names a lesson that is completed, or un-completed, now."""


class OpenedBody(NowBody, AccessBody):
    """Names the course that is opened now."""


class ResetBody(Body):
    """Names the course to start over."""

    model_config = with_examples({"courseId": COURSE})


def _require_time_of_an_event(at: datetime) -> datetime:
    if at < EARLIEST:
        raise PydanticCustomError("before_2000", "Before the year 2000: set the device's clock")
    # A worker would replace such a time by the time of sending (docs/rules.md), new with every sending.
    if at > datetime.now(UTC) + timedelta(seconds=AHEAD_S):
        raise PydanticCustomError("ahead", "Ahead of this server's clock: set the device's, and send it later")
    return at


class BatchItem(CamelModel):
    """Holds an event, and when it happened to the learner by a clock that knows its offset from UTC."""

    type: str
    occurred_at: Annotated[
        Instant, AfterValidator(_require_time_of_an_event), WithJsonSchema({"type": "string", "format": "date-time"})
    ]

    def build_event(self, user_id: UUID) -> LessonEvent:
        return LESSON_EVENTS[self.type](user_id=user_id, **self.model_dump(exclude={"type", "occurred_at"}))

    def derive_event_id(self, user_id: UUID) -> str:
        """Returns an id that is the same whenever the device sends the event again."""
        left_out = {"total_lessons"} if getattr(self, "total_lessons", None) is None else set()
        return str(uuid_v8(f"{user_id}/{self.model_dump_json(exclude=left_out)}"))


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
