"""Defines the events with which the owner of a course says what it consists of: one version after the other.

Each version is complete in itself and never changes. `worker` decides by them when a course is completed
(docs/rules.md, rules 8 to 11).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from hashlib import sha256
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from events.json_types import Id, Whole
from events.models import ContractEvent, LessonId

MOST_LESSONS = 2_000
MOST_REPLACED = 10_000  # pairs of a lesson and one that it replaces, also by others between them
LARGEST_VERSION = 900_000  # bytes as JSON: less than Kafka's usual limit for a record
Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
Link = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^[^\x00]*$")]
CourseVersion = Annotated[
    int,
    Field(strict=True, ge=1, le=1_000_000),
    Whole,
    Field(description="Grows with each version of the course: 1, 2, 3"),
]


class CatalogLesson(BaseModel):
    """Describes a lesson in one version of its course."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    lesson_id: LessonId
    title: Text | None = None
    section: Text | None = Field(None, description="The part of the course under which the lesson is listed")
    href: Link | None = Field(None, description="The lesson's page in the website")
    required: bool = Field(True, strict=True, description="Whether the course can be complete without it: not if true")
    requires: tuple[LessonId, ...] = Field((), description="Lessons of this version to be completed before it")
    replaces: tuple[LessonId, ...] = Field((), description="Earlier lessons whose completion counts as this one's")
    review: bool = Field(False, strict=True, description="Whether the lesson is worth repeating after a while")


class AtLeast(BaseModel):
    """Says that some of the required lessons suffice."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at_least: Annotated[int, Field(strict=True, ge=1), Whole]


class CoursePublished(ContractEvent):
    """The owner published a version of the course. Of one version's number, the first event that arrived counts."""

    course_id: Id
    version: CourseVersion
    title: Text | None = None
    policy: Literal["grandfather", "reopen"] = Field(
        "grandfather",
        description="grandfather: who completed an earlier version stays complete. reopen: who does not meet this one "
        "is not complete any more",
    )
    rule: Literal["all"] | AtLeast = Field("all", description="How many of the required lessons complete the course")
    requires_courses: tuple[Id, ...] = Field((), description="Courses to be completed before this one")
    lessons: tuple[CatalogLesson, ...] = Field(min_length=1, max_length=MOST_LESSONS)

    @model_validator(mode="after")
    def _require_sound(self) -> Self:
        require_sound(self.lessons, self.needed)
        if len(self.model_dump_json().encode()) > LARGEST_VERSION:
            raise PydanticCustomError("too_large", "the version has more than {most} bytes", {"most": LARGEST_VERSION})
        return self

    @property
    def required(self) -> list[str]:
        """Returns the ids of the required lessons, in order."""
        return [lesson.lesson_id for lesson in self.lessons if lesson.required]

    @property
    def needed(self) -> int:
        """Returns how many of the required lessons complete the course."""
        return len(self.required) if self.rule == "all" else self.rule.at_least


class CourseDeleted(ContractEvent):
    """The owner offers the course no longer. A later version brings it back."""

    course_id: Id


CatalogEvent = CoursePublished | CourseDeleted
CATALOG_EVENTS: Mapping[str, type[CatalogEvent]] = {
    "CoursePublished": CoursePublished,
    "CourseDeleted": CourseDeleted,
}


def digest_version(published: CoursePublished) -> bytes:
    """Computes what two events of the same content have in common, whatever their order of fields: 32 bytes."""
    content = published.model_dump(mode="json", exclude_defaults=True)
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).digest()


def require_sound(lessons: Sequence[CatalogLesson], needed: int) -> None:
    """Raises an error of pydantic for lessons that cannot make up a course."""
    ids = [lesson.lesson_id for lesson in lessons]
    known = set(ids)
    if len(known) < len(ids):
        twice = next(id for place, id in enumerate(ids) if id in ids[:place])
        raise PydanticCustomError("lesson_twice", "the lesson {id} is there twice", {"id": repr(twice)})
    required = sum(lesson.required for lesson in lessons)
    if not required:
        raise PydanticCustomError("none_required", "no lesson is required, so that nobody could complete the course")
    if needed > required:
        raise PydanticCustomError(
            "too_many_needed", "rule: {needed} of {required} required lessons", {"needed": needed, "required": required}
        )
    _require_known(lessons, known)
    _require_order(lessons)
    _require_few_replaced({lesson.lesson_id: lesson.replaces for lesson in lessons if lesson.replaces})


def _require_known(lessons: Iterable[CatalogLesson], known: set[str]) -> None:
    for lesson in lessons:
        if unknown := next((id for id in lesson.requires if id not in known), None):
            raise PydanticCustomError(
                "unknown_lesson",
                "the lesson {id} requires {unknown}, which is not a lesson of this version",
                {"id": repr(lesson.lesson_id), "unknown": repr(unknown)},
            )
        if lesson.lesson_id in lesson.replaces:
            raise PydanticCustomError("replaces_itself", "the lesson {id} replaces itself", {"id": lesson.lesson_id})


def _require_few_replaced(replaces: Mapping[str, Sequence[str]]) -> None:
    """Bounds the pairs that every progress row of the course is compared with (rule 8)."""
    left = MOST_REPLACED
    for first in replaces:
        found, unseen = {first}, [first]
        while unseen and left >= 0:
            new = set(replaces.get(unseen.pop(), ())) - found
            found |= new
            unseen += new
            left -= len(new)
        if left < 0:
            raise PydanticCustomError(
                "too_many_replaced",
                "the lessons replace more than {most} others, all together",
                {"most": MOST_REPLACED},
            )


def _require_order(lessons: Iterable[CatalogLesson]) -> None:
    try:
        TopologicalSorter({lesson.lesson_id: lesson.requires for lesson in lessons}).prepare()
    except CycleError as error:
        cycle = " requires ".join(map(repr, reversed(error.args[1])))
        raise PydanticCustomError("cycle", "nobody could begin: {cycle}", {"cycle": cycle[:200]}) from None
