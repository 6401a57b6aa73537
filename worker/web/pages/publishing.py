"""Reads what an author pastes or uploads, and says how it differs from the newest version of its course."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from events.catalog import CatalogLesson, CoursePublished
from worker.courses.catalog_file import LARGEST_LINED, BadCatalogFile, parse_version
from worker.courses.publishing import CourseState
from worker.web.api.bodies import ClosedModel
from worker.web.api.body_guard import guarded_route
from worker.web.api.catalog_schemas import VersionContent
from worker.web.api.responses import json_response
from worker.web.api.schemas import CamelModel
from worker.web.auth import CallerDep, Scope
from worker.web.pages.formatting import name_course
from worker.web.problems import Problem
from worker.web.readers import ReadersDep


class Pasted(ClosedModel):
    """Holds the text of a version, in JSON or YAML."""

    text: str


class LessonChange(CamelModel):
    """Says what becomes of a lesson."""

    what: str  # added, removed or replaced
    lesson_id: str
    title: str
    note: str


class ReadVersion(CamelModel):
    """Holds a version as the API's calls take it, and what is to be known before it is tried."""

    course_id: UUID
    version: int
    title: str
    needed: int
    required: int
    lessons: int
    newest: int
    content: VersionContent
    changes: list[LessonChange] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)


@dataclass
class Reading:
    """Reads one text at a time in this process: YAML takes seconds a megabyte, beside which others take their turns."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self, text: str) -> CoursePublished:
        """Returns the version. Raises a problem, 400, whose `errors` say each mistake and its line."""
        if len(text) > LARGEST_LINED and not text.lstrip().startswith("{"):
            raise Problem(400, f"YAML of more than {LARGEST_LINED:,} characters: use JSON, or the command", errors=[])
        async with self.lock:
            try:
                return await asyncio.to_thread(parse_version, text)
            except BadCatalogFile as error:
                errors = [{"line": mistake.line, "detail": mistake.text} for mistake in error.mistakes]
                raise Problem(400, str(error), errors=errors) from error


def reading_router() -> APIRouter:
    """Returns the route that reads a version for the page, by the scope that publishes it."""
    router = APIRouter(route_class=guarded_route("writes", largest=None, scope=Scope.CATALOG))
    reading = Reading()

    @router.post("/courses/publish")
    async def read_pasted(body: Pasted, caller: CallerDep, readers: ReadersDep) -> Response:
        version = await reading.read(body.text)
        caller.require_course(version.course_id)
        return json_response(describe_version(version, await readers.catalog.read_course(version.course_id)))

    return router


def describe_version(version: CoursePublished, known: CourseState) -> ReadVersion:
    return ReadVersion(
        course_id=version.course_id,
        version=version.version,
        title=name_course(version.title, version.course_id),
        needed=version.needed,
        required=len(version.required),
        lessons=len(version.lessons),
        newest=known.version,
        content=VersionContent.model_validate(version.model_dump(include=set(VersionContent.model_fields))),
        changes=list(find_changes(version, known.content)),
        warnings=list(find_warnings(version, known)),
    )


def find_changes(version: CoursePublished, before: CoursePublished | None) -> Iterator[LessonChange]:
    """Yields the lessons that are added, replaced or removed, as against the newest version."""
    earlier = {lesson.lesson_id: lesson for lesson in (before.lessons if before else ())}
    kept = {lesson.lesson_id for lesson in version.lessons}
    replaced = {old: lesson for lesson in version.lessons for old in lesson.replaces if old not in kept}
    for lesson in version.lessons:
        if lesson.lesson_id not in earlier and not any(old in earlier for old in lesson.replaces):
            yield build_change("added", lesson, "required" if lesson.required else "optional")
    for lesson_id, lesson in earlier.items():
        if lesson_id in replaced:
            new = replaced[lesson_id]
            yield build_change("replaced", lesson, f"by {new.title or new.lesson_id}: completions count")
        elif lesson_id not in kept:
            yield build_change("removed", lesson, "completions count no longer")


def build_change(what: str, lesson: CatalogLesson, note: str) -> LessonChange:
    return LessonChange(what=what, lesson_id=lesson.lesson_id, title=lesson.title or lesson.lesson_id, note=note)


def find_warnings(version: CoursePublished, known: CourseState) -> Iterator[str]:
    """Yields what an author should think of before publishing."""
    if not known.version:
        yield (
            "This is the course's first version. It judges everybody anew: who was complete by the totals that players "
            "send, and has not met it, is complete no longer."
        )
    elif version.version < known.version:
        yield f"The newest version is {known.version}, and stays the one that counts. Is {known.version + 1} meant?"
    elif version.version == known.version:
        yield f"Version {version.version} is published already, and never changes. Is {known.version + 1} meant?"
    elif version.version > known.version + 1:
        yield f"The newest version is {known.version}. This leaves numbers out: is {known.version + 1} meant?"
    if known.version and version.policy == "reopen":
        yield "The policy is reopen: who is complete and lacks a lesson of this version is complete no longer."
    if known.deleted_at:
        yield "The course is deleted. This version brings it back."


def write_draft(course_id: UUID, known: CourseState) -> str:
    """Writes the newest version as a text for the next one, with a lesson in each line. Empty without a version."""
    if known.content is None:
        return ""
    content = known.content.model_dump(mode="json", exclude_defaults=True, exclude={"course_id", "version", "lessons"})
    head = {"course_id": str(course_id), "version": known.version + 1}
    head |= {name: value for name, value in content.items() if name in VersionContent.model_fields}
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}," for name, value in head.items()]
    lessons = [
        json.dumps(lesson.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
        for lesson in known.content.lessons
    ]
    return "{\n" + "\n".join(lines) + '\n  "lessons": [\n    ' + ",\n    ".join(lessons) + "\n  ]\n}\n"
