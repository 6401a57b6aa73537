"""The learner's writes: events, and answered when a worker has applied them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from worker.learners.reads import CourseProgress, ReadResult
from worker.learners.service import Accepted, ProgressService
from worker.web.api.body_guard import guarded_route
from worker.web.api.dependencies import ServiceDep
from worker.web.api.progress_poller import ProgressPoller
from worker.web.api.responses import json_response, to_schema
from worker.web.api.schemas import (
    AcceptedAnswer,
    AccessBody,
    BatchAnswer,
    BatchBody,
    BatchResult,
    LessonBody,
    Occurred,
    Progress,
    ResetBody,
    WriteAnswer,
    errors_of,
)
from worker.web.auth import CallerDep
from worker.web.problems import described

router = APIRouter(prefix="/api/progress", tags=["progress"], route_class=guarded_route("writes"))
batches = APIRouter(prefix="/api/progress", tags=["progress"], route_class=guarded_route("batches", largest=None))
ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"model": AcceptedAnswer}}


class Writing:
    """One write: publishes, waits, and reads what is there afterwards."""

    def __init__(self, user_id: UUID, service: ProgressService, changes: ProgressPoller) -> None:
        self.user_id = user_id
        self.service = service
        self._changes = changes

    async def answered(
        self,
        course_id: UUID,
        write: Awaitable[CourseProgress | Accepted | bool | None],
        *,
        holds: Callable[[CourseProgress], bool] = lambda progress: True,
    ) -> Response:
        """`holds`: whether the progress is as it was to be, which an event that is dated later can prevent."""
        outcome = await write
        if isinstance(outcome, Accepted):
            return json_response(AcceptedAnswer(event_id=outcome.event_id), 202)
        self._changes.nudge()
        read = await self.service.reads.read_courses(self.user_id, [course_id])
        progress = read.value.get(course_id)
        return json_response(
            WriteAnswer(
                as_of=read.as_of,
                success=outcome if isinstance(outcome, bool) else progress is not None and holds(progress),
                progress=Progress.model_validate(progress) if progress else None,
            )
        )

    async def batch(self, items: Sequence[Occurred]) -> tuple[list[str], bool, ReadResult[dict[UUID, CourseProgress]]]:
        """Ids, whether all are applied, and their courses."""
        ids: list[str] = []
        applied = True
        if items:
            user = self.user_id
            ids, applied = await self.service.apply(
                [(item.event(user), item.occurred_at, item.event_id(user)) for item in items]
            )
            self._changes.nudge()
        courses = dict.fromkeys(item.event(self.user_id).course_id for item in items)
        return ids, applied, await self.service.reads.read_courses(self.user_id, courses)


async def writing(request: Request, caller: CallerDep, service: ServiceDep) -> Writing:
    return Writing(caller.user_id, service, request.app.state.poller)


Write = Annotated[Writing, Depends(writing)]


@router.post("/complete", response_model=WriteAnswer, responses=ACCEPTED)
async def complete(body: LessonBody, write: Write) -> Response:
    """Completes a lesson. Completing it again changes no date."""
    return await write.answered(
        body.course_id,
        write.service.mark_lesson_complete(write.user_id, body.course_id, body.lesson_id, body.total_lessons),
        holds=lambda progress: body.lesson_id in progress.completed_lessons,
    )


@router.delete("/complete", response_model=WriteAnswer, responses=ACCEPTED)
async def uncomplete(body: LessonBody, write: Write) -> Response:
    """Takes a lesson's completion back; nothing happens where there is no progress."""
    return await write.answered(
        body.course_id,
        write.service.mark_lesson_incomplete(write.user_id, body.course_id, body.lesson_id, body.total_lessons),
        holds=lambda progress: body.lesson_id not in progress.completed_lessons,
    )


@router.post("/access", response_model=WriteAnswer, responses=ACCEPTED)
async def access(body: AccessBody, write: Write) -> Response:
    """Notes that the learner opened the course; its progress begins at 0 %."""
    return await write.answered(
        body.course_id,
        write.service.update_last_accessed(write.user_id, body.course_id, lesson_id=body.lesson_id),
    )


@router.post("/reset", response_model=WriteAnswer, responses=ACCEPTED)
async def reset(body: ResetBody, write: Write) -> Response:
    """Starts the course over: its progress is gone."""
    return await write.answered(body.course_id, write.service.reset_course_progress(write.user_id, body.course_id))


@batches.post("/complete/batch", response_model=BatchAnswer, responses={202: {"model": BatchAnswer}})
async def batch(body: BatchBody, write: Write) -> Response:
    """What happened while a device was offline. Sending it again changes nothing."""
    items = [item for item in body.events if isinstance(item, Occurred)]
    # Before anything is waited for: a time that is ahead will not be later.
    faults = [None if isinstance(item, Occurred) else list(map(described, errors_of(item))) for item in body.events]
    ids, applied, read = await write.batch(items)
    left = iter(ids)
    results = [
        BatchResult(status="rejected", errors=errors)
        if errors is not None
        else BatchResult(status="applied" if applied else "accepted", event_id=next(left))
        for errors in faults
    ]
    answer = BatchAnswer(as_of=read.as_of, results=results, progress=to_schema(read.value.values()))
    return json_response(answer, 200 if applied else 202)
