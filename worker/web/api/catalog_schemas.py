"""Defines the JSON of the calls about the catalog: what a version consists of, and what the calls answer."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import FailFast, Field, StrictBool, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from events.catalog import MOST_LESSONS, AtLeast, CatalogLesson, CoursePublished, CourseVersion, Text
from events.json_types import Id
from events.models import LessonId
from worker.courses.anonymity import K
from worker.web.api.bodies import ClosedModel
from worker.web.api.schemas import AS_OF, COURSE, Answer, CamelModel, with_examples
from worker.web.problems import Problem, describe_error

ROUNDED = f"A multiple of {K}, rounded down; 0 means fewer than {K}"
LESSON = {"lessonId": "intro", "title": "Introduction"}
QUIZ = {"lessonId": "quiz-2", "required": False, "requires": ["intro"], "replaces": ["quiz"]}
CONTENT = {"title": "Statistics", "policy": "grandfather", "rule": "all", "lessons": [LESSON, QUIZ]}
EVENT = "b0a6a3c6-4a63-4dbb-9f5e-0d3c7c1a2f10"


class LessonContent(CatalogLesson, ClosedModel):
    """Describes a lesson in one version of a course."""

    required: StrictBool = Field(True, description="Whether the course can be complete without it: not if true")
    review: StrictBool = Field(False, description="Whether the lesson is worth repeating after a while")
    requires: Annotated[tuple[LessonId, ...], FailFast()] = Field(
        (), description="Lessons of this version to be completed before it"
    )
    replaces: Annotated[tuple[LessonId, ...], FailFast()] = Field(
        (), description="Earlier lessons whose completion counts as this one's"
    )


class AtLeastContent(AtLeast, ClosedModel):
    """Says that some of the required lessons suffice."""


def read_rule(rule: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Refuses a rule with one error, instead of one for each form that it has not."""
    try:
        return read(rule)
    except ValidationError:
        raise PydanticCustomError("rule", 'Neither "all" nor {"atLeast": n}, n being 1 or more') from None


class VersionContent(ClosedModel):
    """Describes what a course consists of, as a file of docs/catalog.md does. Of several faulty lessons the first is
    named."""

    model_config = with_examples(CONTENT)

    title: Text | None = None
    policy: Literal["grandfather", "reopen"] = "grandfather"
    rule: Annotated[Literal["all"] | AtLeastContent, WrapValidator(read_rule)] = "all"
    requires_courses: Annotated[tuple[Id, ...], FailFast()] = ()
    # `min_length` would call a list too short whose first lesson is at fault; the event has it.
    lessons: Annotated[tuple[LessonContent, ...], FailFast()] = Field(
        max_length=MOST_LESSONS, json_schema_extra={"minItems": 1}
    )

    def build_event(self, course_id: UUID, version: int) -> CoursePublished:
        """Builds the event. Raises a problem, 400, for lessons that cannot make up a course."""
        content = {name: value for name, value in self.model_dump().items() if name != "version"}
        try:
            return CoursePublished(course_id=course_id, version=version, **content)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            errors = [describe_error({**each, "loc": ("body", *each["loc"])}) for each in found]
            raise Problem(400, "see `errors`", errors=errors) from None


class TriedVersion(VersionContent):
    """Describes a version together with its number."""

    model_config = with_examples({"version": 2, **CONTENT})

    version: CourseVersion


# What a call answers


class PublishedAnswer(CamelModel):
    """Says that Kafka has stored the event durably; with status 200, that a worker has stored it too."""

    model_config = with_examples({"courseId": COURSE, "eventId": EVENT})

    course_id: UUID
    event_id: str


class ChangedFigures(CamelModel):
    """Counts the learners for whom a version would change something."""

    learners: int = Field(description=ROUNDED)
    completed: int = Field(description=f"Who would complete the course. {ROUNDED}")
    revoked: int = Field(description=f"Who would not be complete any more. {ROUNDED}")
    grandfathered: int = Field(description=f"Who stay complete under an earlier version. {ROUNDED}")
    raised: int = Field(description=f"Whose percentage would grow. {ROUNDED}")
    lowered: int = Field(description=f"Whose percentage would fall. {ROUNDED}")


class VanishedLesson(CamelModel):
    """Describes a lesson of the newest version that the tried one has no more."""

    lesson_id: str
    title: str | None
    completions: int = Field(description=f"By how many learners. {ROUNDED}")
    renamed_to: str | None = Field(description="A new lesson that may be the same, and does not say `replaces`")


class DryRunAnswer(Answer):
    """Says what publishing a version would change, none of which singles out a learner."""

    model_config = with_examples(
        {
            "asOf": AS_OF,
            "courseId": COURSE,
            "version": 2,
            "required": 1,
            "needed": 1,
            "figures": {
                "learners": 120,
                "completed": 5,
                "revoked": 0,
                "grandfathered": 40,
                "raised": 10,
                "lowered": 60,
            },
            "vanished": [{"lessonId": "quiz", "title": "Quiz", "completions": 45, "renamedTo": "quiz-2"}],
        }
    )

    course_id: UUID
    version: int
    required: int = Field(description="How many lessons are required")
    needed: int = Field(description="How many of these complete the course")
    figures: ChangedFigures | None = Field(description=f"Null: the course has fewer than {K} learners")
    vanished: list[VanishedLesson]


class RecountAnswer(CamelModel):
    """Says how far learners' progress is recounted for a version."""

    version: int
    started_at: datetime
    finished_at: datetime | None = Field(description="Null: it is under way")
    seen: int = Field(description=f"Learners that are done. {ROUNDED}")
    learners: int = Field(description=f"Of so many. {ROUNDED}")
    completed: int = Field(description=ROUNDED)
    revoked: int = Field(description=ROUNDED)


class CatalogAnswer(Answer):
    """Shows the newest version of a course."""

    model_config = with_examples(
        {
            "asOf": AS_OF,
            "courseId": COURSE,
            "version": 2,
            "publishedAt": "2026-11-20T08:00:00Z",
            "needed": 1,
            "content": CONTENT,
            "deletedAt": None,
            "recount": {
                "version": 2,
                "startedAt": "2026-11-20T08:00:00Z",
                "finishedAt": None,
                "seen": 60,
                "learners": 120,
                "completed": 5,
                "revoked": 0,
            },
        }
    )

    course_id: UUID
    version: int = Field(description="0: the course has none")
    published_at: datetime | None
    needed: int = Field(description="How many of the required lessons complete the course; 0 without a version")
    content: VersionContent | None = Field(description="Null without a version")
    deleted_at: datetime | None = Field(description="Null: the course is offered")
    recount: RecountAnswer | None = Field(description="Null without a version")
