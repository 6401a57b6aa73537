"""Takes a learner's writes: publishes them as events, and answers when a worker has applied them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from events.models import ProgressReset
from worker.courses.admission import Admission, Unknown
from worker.errors import DatabaseUnavailable, TookTooLong
from worker.learners.allowance import Allowance, Full
from worker.learners.overruled import find_overruled
from worker.learners.reads import CourseProgress, ReadResult
from worker.learners.service import Accepted, ProgressService
from worker.web.api.batch_order import put_in_order
from worker.web.api.bodies import (
    BatchBody,
    BatchItem,
    CompleteBody,
    Item,
    LessonBody,
    OpenedBody,
    ResetBody,
    find_errors,
)
from worker.web.api.body_guard import guarded_route
from worker.web.api.dependencies import ServiceDep
from worker.web.api.progress_poller import ProgressPoller
from worker.web.api.responses import json_response, to_schema
from worker.web.api.schemas import AcceptedAnswer, BatchAnswer, BatchResult, Progress, WriteAnswer
from worker.web.auth import CallerDep
from worker.web.problems import Problem, build_named_problem, describe_error

router = APIRouter(prefix="/api/progress", tags=["progress"], route_class=guarded_route("writes"))
batches = APIRouter(prefix="/api/progress", tags=["progress"], route_class=guarded_route("batches", largest=None))
ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"model": AcceptedAnswer}}
POINTERS: dict[Full | Unknown, str] = {
    "courses": "/courseId", "lessons": "/lessonId", "course": "/courseId", "lesson": "/lessonId"
}  # fmt: skip
UNKNOWN: dict[Unknown, str] = {
    "course": "This course has no version, and calls write only in courses that have one",
    "lesson": "No version of this course names this lesson",
}


class LearnerWrites:
    """Publishes a learner's events, waits until they are applied, and reads the progress after them."""

    def __init__(
        self,
        user_id: UUID,
        service: ProgressService,
        poller: ProgressPoller,
        admission: Admission,
        allowance: Allowance,
    ) -> None:
        self.user_id = user_id
        self.service = service
        self._poller = poller
        self._admission = admission
        self._allowance = allowance

    async def find_unknown(self, named: Sequence[tuple[UUID, str | None]]) -> list[Unknown | None]:
        """Returns, for each course with or without a lesson, what of the two is unknown. Raises as Admission does."""
        return await self._admission.find_unknown(self.service.reads, named)

    async def find_excess(self, named: Sequence[tuple[UUID, str | None]]) -> list[dict[str, str] | None]:
        """Returns, for each course with or without a lesson, why there is no room for it; None where there is.

        Without PostgreSQL there is room, because a write needs Kafka alone. Raises TookTooLong.
        """
        try:
            found = await self._allowance.find_excess(self.service.reads, self.user_id, named) if named else []
        except TookTooLong:
            raise  # the learner has so much that it cannot be counted in time
        except DatabaseUnavailable:
            return [None] * len(named)
        return [full and {"pointer": POINTERS[full], "detail": self._describe(full)} for full in found]

    async def find_faults(self, items: Mapping[int, Item]) -> dict[int, dict[str, str]]:
        """Returns, by their places, those events of a batch that are not taken, each with the reason."""
        named = [(item.course_id, getattr(item, "lesson_id", None)) for item in items.values()]
        unknown = zip(items, await self.find_unknown(named), strict=True)
        faults = {place: {"pointer": POINTERS[what], "detail": UNKNOWN[what]} for place, what in unknown if what}
        left = [place for place in items if place not in faults]
        excess = await self.find_excess([name_lesson(items[place]) for place in left])
        return faults | {place: error for place, error in zip(left, excess, strict=True) if error is not None}

    def _describe(self, full: Full) -> str:
        if full == "courses":
            return f"New: you have {self._allowance.courses:,} courses, which is the most"
        return f"New: you have {self._allowance.lessons_per_course:,} lessons in this course, which is the most"

    async def respond(
        self,
        course_id: UUID,
        lesson_id: str | None,
        write: Callable[[], Awaitable[CourseProgress | Accepted | bool | None]],
        *,
        completed: bool | None = None,
        accessed_at: datetime | None = None,
    ) -> Response:
        """Calls the write. Answers 200 with the progress after it, or 202 when it was not applied in time.

        A write that returns None had nothing to change: the answer has no progress, and is no success.
        `completed` is the state of the lesson that the write asks for, and `accessed_at` the time at which it says that
        the course was opened; an event with a later time can prevent either.
        Raises a problem: 404 where course or lesson is unknown, 422 where the learner has no room for it.
        """
        [unknown] = await self.find_unknown([(course_id, lesson_id)])
        if unknown is not None:
            raise build_named_problem(f"unknown-{unknown}", UNKNOWN[unknown])
        [excess] = await self.find_excess([(course_id, None if completed is None else lesson_id)])
        if excess is not None:
            raise Problem(422, "see `errors`", errors=[excess])
        outcome = await write()
        if isinstance(outcome, Accepted) and not outcome.hidden:
            return json_response(AcceptedAnswer(event_id=outcome.event_id), 202)
        self._poller.nudge()
        read = await self.service.reads.read_courses(self.user_id, [course_id])
        progress = None if outcome is None else read.value.get(course_id)  # None: there was nothing to take back
        shows = progress is not None and not isinstance(outcome, Accepted)
        if progress is not None and completed is not None:
            shows = shows and await self._is_completed(progress, lesson_id) == completed
        if progress is not None and accessed_at is not None:
            shows = shows and progress.last_accessed_at <= accessed_at
        return json_response(
            WriteAnswer(
                as_of=read.as_of,
                success=outcome if isinstance(outcome, bool) else shows,
                progress=Progress.model_validate(progress) if progress else None,
            )
        )

    async def _is_completed(self, progress: CourseProgress, lesson_id: str | None) -> bool:
        if lesson_id in progress.completed_lessons or not progress.more_lessons:
            return lesson_id in progress.completed_lessons
        return await self.service.is_lesson_completed(self.user_id, progress.course_id, lesson_id or "")

    async def publish_batch(
        self, items: Sequence[BatchItem]
    ) -> tuple[list[BatchResult], ReadResult[dict[UUID, CourseProgress]]]:
        """Publishes the events, and waits until they are applied. Returns a result for each, and their courses."""
        user, reads = self.user_id, self.service.reads
        sent = [(item.build_event(user), item.occurred_at) for item in items]
        results: list[BatchResult] = []
        if items:
            resets = {event.course_id for event, _ in sent if isinstance(event, ProgressReset)}
            before = (await reads.read_courses(user, resets)).value if resets else {}
            ids, applied = await self.service.publish_and_wait(
                [(*each, item.derive_event_id(user)) for each, item in zip(sent, items, strict=True)]
            )
            self._poller.nudge()
            overruled = await find_overruled(reads, user, sent, before) if applied else []
            states = ["no-effect" if late else "applied" for late in overruled] or ["accepted"] * len(ids)
            results = [BatchResult(status=state, event_id=id) for state, id in zip(states, ids, strict=True)]
        return results, await reads.read_courses(user, dict.fromkeys(event.course_id for event, _ in sent))


async def learner_writes(request: Request, caller: CallerDep, service: ServiceDep) -> LearnerWrites:
    """Provides the caller's writes."""
    state = request.app.state
    return LearnerWrites(caller.user_id, service, state.poller, state.admission, state.allowance)


WritesDep = Annotated[LearnerWrites, Depends(learner_writes)]


@router.post("/complete", response_model=WriteAnswer, responses=ACCEPTED)
async def complete(body: CompleteBody, writes: WritesDep) -> Response:
    """Completes a lesson. Completing it again changes no date."""
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
    faults: list[list[dict[str, str]] | None] = [
        None if isinstance(item, BatchItem) else list(map(describe_error, find_errors(item))) for item in body.events
    ]
    valid = put_in_order({place: item for place, item in enumerate(body.events) if isinstance(item, BatchItem)})
    for place, error in (await writes.find_faults(valid)).items():
        faults[place] = [error]
    published, read = await writes.publish_batch([item for place, item in valid.items() if not faults[place]])
    left = iter(published)
    results = [BatchResult(status="rejected", errors=errors) if errors is not None else next(left) for errors in faults]
    waits = any(result.status == "accepted" for result in results)
    answer = BatchAnswer(as_of=read.as_of, results=results, progress=to_schema(read.value.values()))
    return json_response(answer, 202 if waits else 200)


def name_lesson(item: Item) -> tuple[UUID, str | None]:
    """Returns the course of the event, and the lesson whose state it decides."""
    return item.course_id, item.lesson_id if isinstance(item, LessonBody) else None
