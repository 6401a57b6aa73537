"""The learner's calls. Reads are PostgreSQL's; writes are events, and answered when a worker has applied them."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette import types as asgi
from starlette.routing import Match, Route

from worker.api.auth import Calling, Scope, caller
from worker.api.bodies import asked_first
from worker.api.changes import Changes
from worker.api.kafka_watch import KafkaWatch
from worker.api.limits import counted
from worker.api.problems import Problem, described
from worker.api.schemas import (
    AcceptedAnswer,
    AccessBody,
    Answer,
    BatchAnswer,
    BatchBody,
    BatchResult,
    CourseAnswer,
    LessonBody,
    ListAnswer,
    Occurred,
    Progress,
    ResetBody,
    Stats,
    StatsAnswer,
    WriteAnswer,
    errors_of,
)
from worker.reads import CourseProgress, Place, Read
from worker.service import Accepted, ProgressService

MOST_COURSES = 100
UUID_PATTERN = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
LARGEST_PAGE = 200

reads = APIRouter(prefix="/api/progress", tags=["progress"], dependencies=[Depends(counted)])
writes = APIRouter(prefix="/api/progress", tags=["progress"], route_class=asked_first("writes"))
batches = APIRouter(prefix="/api/progress", tags=["progress"], route_class=asked_first("batches", largest=None))
ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"model": AcceptedAnswer}}


# Dependencies are coroutines: FastAPI would run a plain function in a thread, at half a millisecond each.


async def service(request: Request) -> ProgressService:
    found: ProgressService = request.app.state.service
    return found


async def whose(
    caller: Calling,
    user_id: Annotated[
        UUID | None, Query(alias="userId", description="Somebody else: needs the scope progress:read:any")
    ] = None,
) -> UUID:
    """The learner whose progress is read."""
    if user_id is not None and user_id != caller.user_id:
        caller.require(Scope.READ_ANY)
    return user_id or caller.user_id


Serving = Annotated[ProgressService, Depends(service)]
Whose = Annotated[UUID, Depends(whose)]


# Reads


async def course_ids(
    text: Annotated[
        str | None,
        Query(
            alias="courseIds",
            description=f"These courses alone, up to {MOST_COURSES}, comma-separated; no other parameter counts then",
            pattern=rf"^{UUID_PATTERN}(,{UUID_PATTERN}){{0,{MOST_COURSES - 1}}}$",
            examples=["0b9f7f0e-9b1a-4a51-8f0e-3a8d5f0c2d22"],
        ),
    ] = None,
) -> list[UUID]:
    return [UUID(part) for part in text.split(",")] if text else []


async def place(
    cursor: Annotated[str | None, Query(description="The `nextCursor` of the page before")] = None,
) -> Place | None:
    if cursor is None:
        return None
    try:
        time, course_id = base64.urlsafe_b64decode(cursor.encode()).decode().split()
        return Place(datetime.fromisoformat(time).astimezone(UTC), UUID(course_id))
    except (ValueError, OverflowError, binascii.Error):
        raise Problem(400, "cursor: not one of ours", errors=[{"parameter": "cursor", "detail": "not ours"}]) from None


def cursor_after(progress: CourseProgress) -> str:
    text = f"{progress.last_accessed_at.isoformat()} {progress.course_id}"
    return base64.urlsafe_b64encode(text.encode()).decode()


@reads.get("", response_model=ListAnswer)
async def list_progress(
    request: Request,
    user: Whose,
    service: Serving,
    courses: Annotated[list[UUID], Depends(course_ids)],
    after: Annotated[Place | None, Depends(place)],
    include_completed: Annotated[bool, Query(alias="includeCompleted")] = True,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
) -> Response:
    """Courses of the learner, the latest accessed first, in pages; or some courses at once."""
    if courses:
        some = await service.reads.some(user, courses)
        found = sorted(some.value.values(), key=lambda p: (-p.last_accessed_at.timestamp(), p.course_id))
        return fresh(request, ListAnswer(as_of=some.as_of, items=shown(found), next_cursor=None))
    page = await service.reads.listed(user, include_completed=include_completed, after=after, limit=limit + 1)
    items = page.value[:limit]
    cursor = cursor_after(items[-1]) if len(page.value) > limit else None
    return fresh(request, ListAnswer(as_of=page.as_of, items=shown(items), next_cursor=cursor))


@reads.get("/stats", response_model=StatsAnswer)
async def get_stats(request: Request, user: Whose, service: Serving) -> Response:
    """Statistics over all courses of the learner."""
    read = await service.reads.stats(user)
    return fresh(request, StatsAnswer(as_of=read.as_of, stats=Stats.model_validate(read.value)))


# After the fixed paths, which would be taken for a course's.
one = APIRouter(prefix="/api/progress", tags=["progress"], dependencies=[Depends(counted)])


@one.get("/{courseId}", response_model=CourseAnswer)
async def get_progress(
    request: Request, user: Whose, service: Serving, course_id: Annotated[UUID, Path(alias="courseId")]
) -> Response:
    """The learner's progress in one course; 404 where there is none."""
    read = await service.reads.some(user, [course_id])
    progress = read.value.get(course_id)
    if progress is None:
        raise Problem(404, "no progress in this course", asOf=f"{read.as_of:%Y-%m-%dT%H:%M:%S.%fZ}")
    return fresh(request, CourseAnswer(as_of=read.as_of, progress=Progress.model_validate(progress)))


async def get_own_progress(request: Request) -> Response:
    """What FastAPI would have get_progress do for a request without a query."""
    calling = await caller(request)
    await counted(request, calling)
    return await get_progress(request, calling.user_id, await service(request), request.path_params["courseId"])


class Direct(Route):
    """`GET /{courseId}` without a query, as nearly everybody asks it. With one it is FastAPI's.

    FastAPI's way to a handler and to its arguments takes a third of the call's CPU: docs/decisions/0024.
    """

    def __init__(self) -> None:
        super().__init__("/api/progress/{courseId:uuid}", get_own_progress)
        self.path_regex = re.compile(
            rf"/api/progress/(?P<courseId>{UUID_PATTERN})\Z"
        )  # Starlette's own takes half a hyphenation
        self.path = self.path_format  # as FastAPI's route of it: what metrics and the header Allow name
        self.methods = {"GET"}  # and not the HEAD that Starlette adds

    def matches(self, scope: asgi.Scope) -> tuple[Match, asgi.Scope]:
        if scope.get("query_string"):
            return Match.NONE, {}
        match, found = super().matches(scope)
        return match, {**found, "route": self}


def shown(found: list[CourseProgress]) -> list[Progress]:
    return [Progress.model_validate(progress) for progress in found]


def fresh(request: Request, answer: Answer) -> Response:
    """The answer, or 304 when the client has this content already."""
    headers = {"ETag": answer.etag(), "Cache-Control": "private, no-cache"}
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or headers["ETag"] in (tag.strip() for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    return told(answer, headers=headers)


def told(answer: Answer | AcceptedAnswer, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(answer.model_dump_json(by_alias=True), status, headers, JSONResponse.media_type)


# Writes


class Writing:
    """One write: publishes, waits, and reads what is there afterwards."""

    def __init__(self, user_id: UUID, service: ProgressService, kafka: KafkaWatch, changes: Changes) -> None:
        self.user_id = user_id
        self.service = service
        self._kafka = kafka
        self._changes = changes

    async def answered(
        self, course_id: UUID, write: Callable[[], Awaitable[CourseProgress | Accepted | bool | None]]
    ) -> Response:
        with self._kafka.attempt() as attempt:
            outcome = await write()
            attempt.published = outcome is not None
        if isinstance(outcome, Accepted):
            return told(AcceptedAnswer(event_id=outcome.event_id), 202)
        self._changes.nudge()
        read = await self.service.reads.some(self.user_id, [course_id])
        progress = read.value.get(course_id)
        return told(
            WriteAnswer(
                as_of=read.as_of,
                success=bool(outcome),
                progress=Progress.model_validate(progress) if progress else None,
            )
        )

    async def batch(self, items: Sequence[Occurred]) -> tuple[list[str], bool, Read[dict[UUID, CourseProgress]]]:
        """Ids, whether all are applied, and their courses."""
        ids: list[str] = []
        applied = True
        if items:
            user = self.user_id
            with self._kafka.attempt():
                ids, applied = await self.service.apply(
                    [(item.event(user), item.occurred_at, item.event_id(user)) for item in items]
                )
            self._changes.nudge()
        courses = dict.fromkeys(item.event(self.user_id).course_id for item in items)
        return ids, applied, await self.service.reads.some(self.user_id, courses)


async def writing(request: Request, caller: Calling, service: Serving) -> Writing:
    return Writing(caller.user_id, service, request.app.state.kafka, request.app.state.changes)


Write = Annotated[Writing, Depends(writing)]


@writes.post("/complete", response_model=WriteAnswer, responses=ACCEPTED)
async def complete(body: LessonBody, write: Write) -> Response:
    """Completes a lesson. Completing it again changes no date."""
    return await write.answered(
        body.course_id,
        lambda: write.service.mark_lesson_complete(write.user_id, body.course_id, body.lesson_id, body.total_lessons),
    )


@writes.delete("/complete", response_model=WriteAnswer, responses=ACCEPTED)
async def uncomplete(body: LessonBody, write: Write) -> Response:
    """Takes a lesson's completion back; nothing happens where there is no progress."""
    return await write.answered(
        body.course_id,
        lambda: write.service.mark_lesson_incomplete(write.user_id, body.course_id, body.lesson_id, body.total_lessons),
    )


@writes.post("/access", response_model=WriteAnswer, responses=ACCEPTED)
async def access(body: AccessBody, write: Write) -> Response:
    """Notes that the learner opened the course; its progress begins at 0 %."""
    return await write.answered(
        body.course_id,
        lambda: write.service.update_last_accessed(write.user_id, body.course_id, lesson_id=body.lesson_id),
    )


@writes.post("/reset", response_model=WriteAnswer, responses=ACCEPTED)
async def reset(body: ResetBody, write: Write) -> Response:
    """Starts the course over: its progress is gone."""
    return await write.answered(
        body.course_id, lambda: write.service.reset_course_progress(write.user_id, body.course_id)
    )


@batches.post("/complete/batch", response_model=BatchAnswer, responses={202: {"model": BatchAnswer}})
async def batch(body: BatchBody, write: Write) -> Response:
    """What happened while a device was offline. Sending it again changes nothing."""
    items = [item for item in body.events if isinstance(item, Occurred)]
    ids, applied, read = await write.batch(items)
    left = iter(ids)
    results = [
        BatchResult(status="applied" if applied else "accepted", event_id=next(left))
        if isinstance(item, Occurred)
        else BatchResult(status="rejected", errors=[described(error) for error in errors_of(item)])
        for item in body.events
    ]
    answer = BatchAnswer(as_of=read.as_of, results=results, progress=shown(list(read.value.values())))
    return told(answer, 200 if applied else 202)
