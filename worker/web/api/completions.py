"""Takes a learner's writes: publishes them as events, and answers when a worker has applied them."""

from typing import Any

from fastapi import APIRouter, Response

from worker.web.api.batch_order import put_in_order
from worker.web.api.bodies import BatchBody, BatchItem, CompleteBody, OpenedBody, ResetBody, find_errors
from worker.web.api.body_guard import guarded_route
from worker.web.api.learner_writes import WritesDep
from worker.web.api.responses import json_response, to_schema
from worker.web.api.schemas import AcceptedAnswer, BatchAnswer, BatchResult, WriteAnswer
from worker.web.problems import describe_error

router = APIRouter(prefix="/api/progress", tags=["progress"], route_class=guarded_route("writes"))
batches = APIRouter(prefix="/api/progress", tags=["progress"], route_class=guarded_route("batches", largest=None))
ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"model": AcceptedAnswer}}


@router.post("/complete", response_model=WriteAnswer, responses=ACCEPTED)
async def complete(body: CompleteBody, writes: WritesDep) -> Response:
    """Completes a lesson. Completing it again changes no date.

    A lesson that requires others, by the newest version of its course, is a 409 until they are met. It is taken where
    an event of the learner is still on its way.
    """
    return await writes.respond(
        body.course_id,
        body.lesson_id,
        lambda: writes.service.mark_lesson_complete(
            writes.user_id, body.course_id, body.lesson_id, body.total_lessons, occurred_at=body.now()
        ),
        completed=True,
    )


@router.delete("/complete", response_model=WriteAnswer, responses=ACCEPTED)
async def uncomplete(body: CompleteBody, writes: WritesDep) -> Response:
    """Takes a lesson's completion back.

    Without progress to take it from, `success` is false, `progress` is null, and the progress begins at 0 %.
    """
    return await writes.respond(
        body.course_id,
        body.lesson_id,
        lambda: writes.service.mark_lesson_incomplete(
            writes.user_id, body.course_id, body.lesson_id, body.total_lessons, occurred_at=body.now()
        ),
        completed=False,
    )


@router.post("/access", response_model=WriteAnswer, responses=ACCEPTED)
async def access(body: OpenedBody, writes: WritesDep) -> Response:
    """Records that the learner opened the course. The first access creates progress at 0 %."""
    at = body.now()
    return await writes.respond(
        body.course_id,
        body.lesson_id,
        lambda: writes.service.update_last_accessed(
            writes.user_id, body.course_id, lesson_id=body.lesson_id, total_lessons=body.total_lessons, occurred_at=at
        ),
        accessed_at=at,
    )


@router.post("/reset", response_model=WriteAnswer, responses=ACCEPTED)
async def reset(body: ResetBody, writes: WritesDep) -> Response:
    """Starts the course over by removing its progress. Events with a later time stay."""
    return await writes.respond(
        body.course_id, None, lambda: writes.service.reset_course_progress(writes.user_id, body.course_id)
    )


@batches.post("/complete/batch", response_model=BatchAnswer, responses={202: {"model": BatchAnswer}})
async def batch(body: BatchBody, writes: WritesDep) -> Response:
    """Takes the events that happened while a device was offline. Sending them again changes nothing.

    Times decide. Of events of one lesson at the same time the later in the list is taken as a microsecond later.
    """
    # Checked before the first wait, during which a time that is ahead may be reached.
    rejected = {
        place: BatchResult(status="rejected", errors=list(map(describe_error, find_errors(item))))
        for place, item in enumerate(body.events)
        if not isinstance(item, BatchItem)
    }
    valid = put_in_order({place: item for place, item in enumerate(body.events) if isinstance(item, BatchItem)})
    rejected |= await writes.find_rejected(valid)
    published, read = await writes.publish_batch([item for place, item in valid.items() if place not in rejected])
    left = iter(published)
    results = [rejected.get(place) or next(left) for place in range(len(body.events))]
    waits = any(result.status == "accepted" for result in results)
    answer = BatchAnswer(as_of=read.as_of, results=results, progress=to_schema(read.value.values()))
    return json_response(answer, 202 if waits else 200)
