"""Lets the owners of courses try, publish and delete them, and shows what is stored of a course.

The token names the courses: it needs the scope, and the course in its claim `courses`.
"""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from events.catalog import CoursePublished
from worker.courses.anonymity import K, round_down
from worker.courses.dry_run import DryRun, try_version_in_time
from worker.courses.publishing import CourseState, Published, RecountState
from worker.settings import Settings
from worker.web.api.body_guard import guarded_route
from worker.web.api.catalog_schemas import (
    CatalogAnswer,
    ChangedFigures,
    DryRunAnswer,
    PublishedAnswer,
    RecountAnswer,
    TriedVersion,
    VanishedLesson,
    VersionContent,
)
from worker.web.api.responses import conditional_response, json_response
from worker.web.auth import CallerDep, Scope
from worker.web.limits import count_call, count_write
from worker.web.problems import Problem
from worker.web.readers import ReadersDep

reads = APIRouter(prefix="/api/courses", tags=["courses"], dependencies=[Depends(count_call)])
# A version may be as large as the API's own limit for a body allows.
writes = APIRouter(
    prefix="/api/courses", tags=["courses"], route_class=guarded_route("writes", largest=None, scope=Scope.CATALOG)
)
deletes = APIRouter(prefix="/api/courses", tags=["courses"], dependencies=[Depends(count_write)])

ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"model": PublishedAnswer}}
CoursePath = Annotated[UUID, Path(alias="courseId")]
VersionPath = Annotated[int, Path(ge=1, le=1_000_000)]


# Who may call


async def readable_course(caller: CallerDep, course_id: CoursePath) -> UUID:
    """Returns the course. Raises a problem, 403, unless the caller may see its figures or publish it."""
    if Scope.CATALOG not in caller.scopes:
        caller.require(Scope.ANALYTICS)
    caller.require_course(course_id)
    return course_id


async def own_course(caller: CallerDep, course_id: CoursePath) -> UUID:
    """Returns the course. Raises a problem, 403, unless the caller may publish it."""
    caller.require(Scope.CATALOG)
    caller.require_course(course_id)
    return course_id


ReadableDep = Annotated[UUID, Depends(readable_course)]
OwnDep = Annotated[UUID, Depends(own_course)]


# The calls


class DryRuns:
    """Runs one dry run at a time in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._busy = asyncio.Lock()

    async def run(self, version: CoursePublished) -> DryRun:
        """Says what the version would change. Raises a problem, 409, while another dry run is under way."""
        if self._busy.locked():
            raise Problem(409, "another dry run is under way")
        async with self._busy:
            return await try_version_in_time(self._settings, version)


@reads.get("/{courseId}", response_model=CatalogAnswer)
async def get_course(request: Request, course_id: ReadableDep, readers: ReadersDep) -> Response:
    """Returns the newest version of the course, whether the course is deleted, and how far progress is recounted for
    it. A course that is not known has version 0."""
    return conditional_response(request, build_course(course_id, await readers.catalog.read_course(course_id)))


@writes.post("/{courseId}/versions/dry-run", response_model=DryRunAnswer)
async def try_version(request: Request, body: TriedVersion, course_id: OwnDep, readers: ReadersDep) -> Response:
    """Says what publishing this version would change, and changes nothing. It compares all learners of the course, one
    call at a time."""
    dry_runs: DryRuns = request.app.state.dry_runs
    version = body.build_event(course_id, body.version)
    as_of = datetime.now(UTC)
    await readers.catalog.require_unknown_or_same(version)
    return json_response(build_dry_run(as_of, version, await dry_runs.run(version)))


@writes.put("/{courseId}/versions/{version}", response_model=PublishedAnswer, responses=ACCEPTED)
async def publish_version(
    body: VersionContent, course_id: OwnDep, version: VersionPath, readers: ReadersDep
) -> Response:
    """Publishes this version, which never changes afterwards. The same content again has the same answer; another
    content is a 409."""
    return answer_published(course_id, await readers.catalog.publish_version(body.build_event(course_id, version)))


@deletes.delete("/{courseId}", response_model=PublishedAnswer, responses=ACCEPTED)
async def delete_course(course_id: OwnDep, readers: ReadersDep) -> Response:
    """Says that the course is offered no longer. Nothing is revoked, and a later version brings it back."""
    return answer_published(course_id, await readers.catalog.delete_course(course_id))


def answer_published(course_id: UUID, published: Published) -> Response:
    answer = PublishedAnswer(course_id=course_id, event_id=published.event_id)
    return json_response(answer, 200 if published.applied else 202)


def build_course(course_id: UUID, state: CourseState) -> CatalogAnswer:
    content = state.content
    known = content and VersionContent.model_validate(content.model_dump(include=set(VersionContent.model_fields)))
    return CatalogAnswer(
        as_of=state.as_of,
        course_id=course_id,
        version=state.version,
        published_at=state.published_at,
        needed=content.needed if content else 0,
        content=known,
        deleted_at=state.deleted_at,
        recount=state.recount and build_recount(state.recount),
    )


def build_recount(recount: RecountState) -> RecountAnswer:
    return RecountAnswer(
        version=recount.version,
        started_at=recount.started_at,
        finished_at=recount.finished_at,
        seen=round_down(recount.rows_seen),
        learners=round_down(recount.rows),
        completed=round_down(recount.completed),
        revoked=round_down(recount.revoked),
    )


def build_dry_run(as_of: datetime, version: CoursePublished, found: DryRun) -> DryRunAnswer:
    """Builds the answer, in which every count of learners is a multiple of K."""
    figures = {name: round_down(getattr(found, name)) for name in ChangedFigures.model_fields}
    vanished = [
        VanishedLesson(
            lesson_id=lesson.lesson_id,
            title=lesson.title,
            completions=round_down(lesson.completions),
            renamed_to=lesson.renamed_to,
        )
        for lesson in found.vanished
    ]
    return DryRunAnswer(
        as_of=as_of,
        course_id=version.course_id,
        version=version.version,
        required=len(version.required),
        needed=version.needed,
        figures=ChangedFigures(**figures) if found.learners >= K else None,
        vanished=vanished,
    )
