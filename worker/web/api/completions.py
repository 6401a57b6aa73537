"""Takes a learner's writes: publishes them as events, and answers when a worker has applied them."""

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
    BatchItem,
    BatchResult,
    LessonBody,
    Progress,
    ResetBody,
    WriteAnswer,
    find_errors,
)
from worker.web.auth import CallerDep
from worker.web.problems import describe_error

router = APIRouter(prefix="/api/progress", tags=["progress"], route_class=guarded_route("writes"))
batches = APIRouter(prefix="/api/progress", tags=["progress"], route_class=guarded_route("batches", largest=None))
ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"model": AcceptedAnswer}}


class LearnerWrites:
    """Publishes a learner's events, waits until they are applied, and reads the progress after them."""

    def __init__(self, user_id: UUID, service: ProgressService, poller: ProgressPoller) -> None:
        self.user_id = user_id
        self.service = service
        self._poller = poller

    async def respond(
        self,
        course_id: UUID,
        write: Awaitable[CourseProgress | Accepted | bool | None],
        *,
        holds: Callable[[CourseProgress], bool] = lambda progress: True,
    ) -> Response:
        """Awaits the write. Answers 200 with the progress after it, or 202 when it was not applied in time.

        A write that returns None had nothing to change: the answer has no progress, and is no success.
        `holds` says whether the progress shows the write; an event with a later time can prevent that.
        """
        outcome = await write
        if isinstance(outcome, Accepted):
            return json_response(AcceptedAnswer(event_id=outcome.event_id), 202)
        self._poller.nudge()
        read = await self.service.reads.read_courses(self.user_id, [course_id])
        progress = None if outcome is None else read.value.get(course_id)  # None: there was nothing to take back
        return json_response(
            WriteAnswer(
                as_of=read.as_of,
                success=outcome if isinstance(outcome, bool) else progress is not None and holds(progress),
                progress=Progress.model_validate(progress) if progress else None,
            )
        )

    async def apply_batch(
        self, items: Sequence[BatchItem]
    ) -> tuple[list[str], bool, ReadResult[dict[UUID, CourseProgress]]]:
        """Returns the events' ids, whether all are applied, and their courses."""
        ids: list[str] = []
        applied = True
        if items:
            user = self.user_id
            ids, applied = await self.service.apply(
                [(item.build_event(user), item.occurred_at, item.derive_event_id(user)) for item in items]
            )
            self._poller.nudge()
        courses = dict.fromkeys(item.build_event(self.user_id).course_id for item in items)
        return ids, applied, await self.service.reads.read_courses(self.user_id, courses)


async def learner_writes(request: Request, caller: CallerDep, service: ServiceDep) -> LearnerWrites:
    """Provides the caller's writes."""
    return LearnerWrites(caller.user_id, service, request.app.state.poller)


WritesDep = Annotated[LearnerWrites, Depends(learner_writes)]


@router.post("/complete", response_model=WriteAnswer, responses=ACCEPTED)
async def complete(body: LessonBody, writes: WritesDep) -> Response:
    """Completes a lesson. Completing it again changes no date."""
    return await writes.respond(
        body.course_id,
        writes.service.mark_lesson_complete(writes.user_id, body.course_id, body.lesson_id, body.total_lessons),
        holds=lambda progress: body.lesson_id in progress.completed_lessons,
    )


@router.delete("/complete", response_model=WriteAnswer, responses=ACCEPTED)
async def uncomplete(body: LessonBody, writes: WritesDep) -> Response:
    """Takes a lesson's completion back. Where there was no progress to take it from, `success` is false and `progress`
    null, and the course's progress begins at 0 %."""
    return await writes.respond(
        body.course_id,
        writes.service.mark_lesson_incomplete(writes.user_id, body.course_id, body.lesson_id, body.total_lessons),
        holds=lambda progress: body.lesson_id not in progress.completed_lessons,
    )


@router.post("/access", response_model=WriteAnswer, responses=ACCEPTED)
async def access(body: AccessBody, writes: WritesDep) -> Response:
    """Records that the learner opened the course. The first access creates progress at 0 %."""
    return await writes.respond(
        body.course_id,
        writes.service.update_last_accessed(writes.user_id, body.course_id, lesson_id=body.lesson_id),
    )


@router.post("/reset", response_model=WriteAnswer, responses=ACCEPTED)
async def reset(body: ResetBody, writes: WritesDep) -> Response:
    """Starts the course over by removing its progress."""
    return await writes.respond(body.course_id, writes.service.reset_course_progress(writes.user_id, body.course_id))


@batches.post("/complete/batch", response_model=BatchAnswer, responses={202: {"model": BatchAnswer}})
async def batch(body: BatchBody, writes: WritesDep) -> Response:
    """Takes the events that happened while a device was offline. Sending them again changes nothing."""
    items = [item for item in body.events if isinstance(item, BatchItem)]
    # Checked before the first wait, during which a time that is ahead may be reached.
    faults = [
        None if isinstance(item, BatchItem) else list(map(describe_error, find_errors(item))) for item in body.events
    ]
    ids, applied, read = await writes.apply_batch(items)
    left = iter(ids)
    results = [
        BatchResult(status="rejected", errors=errors)
        if errors is not None
        else BatchResult(status="applied" if applied else "accepted", event_id=next(left))
        for errors in faults
    ]
    answer = BatchAnswer(as_of=read.as_of, results=results, progress=to_schema(read.value.values()))
    return json_response(answer, 200 if applied else 202)
