"""Takes waivers of lessons, and their withdrawals, from whoever is in charge of a course."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field

from events.models import LessonId, LessonWaived, LessonWaiverWithdrawn, Reason
from worker.courses.admission import Admission
from worker.learners.overruled import is_waiver_overruled
from worker.learners.service import ProgressService
from worker.web.api.bodies import ClosedModel
from worker.web.api.body_guard import guarded_route
from worker.web.api.dependencies import ServiceDep
from worker.web.api.learner_writes import UNKNOWN
from worker.web.api.responses import json_response
from worker.web.api.schemas import CamelModel, with_examples
from worker.web.auth import CallerDep, Scope
from worker.web.problems import build_named_problem
from worker.web.readers import Readers, ReadersDep

router = APIRouter(prefix="/api/courses", tags=["courses"], route_class=guarded_route("writes", scope=Scope.WAIVERS))
# Without a version a waiver means nothing, whatever learners may write there.
ADMISSION = Admission("refuse")


class WaiverBody(ClosedModel):
    """Names a lesson that counts as met, and why."""

    model_config = with_examples({"lessonId": "quiz", "reason": "passed it at school"})

    lesson_id: LessonId
    reason: Reason


class WithdrawalBody(ClosedModel):
    """Names a lesson whose waiver is taken back, and why."""

    model_config = with_examples({"lessonId": "quiz", "reason": "a mistake"})

    lesson_id: LessonId
    reason: Reason | None = None


class WaiverAnswer(CamelModel):
    """Says that Kafka has stored the event durably; with status 200, that a worker has applied it too."""

    model_config = with_examples({"eventId": "b0a6a3c6-4a63-4dbb-9f5e-0d3c7c1a2f10", "success": True})

    event_id: str
    success: bool | None = Field(
        None,
        exclude_if=lambda success: success is None,
        description="False: it had no effect, because an event with a later time decides. Absent from a 202",
    )


ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"model": WaiverAnswer}}


class Waivers:
    """Publishes waivers of one learner's lessons in one course."""

    def __init__(self, user_id: UUID, course_id: UUID, service: ProgressService, readers: Readers) -> None:
        self.ids = {"user_id": user_id, "course_id": course_id}
        self._service = service
        self._readers = readers

    async def publish(self, event: LessonWaived | LessonWaiverWithdrawn) -> Response:
        """Publishes the event. Raises a problem: 404 for a course without a version or a lesson that none names, 503
        while a worker runs that does not know waivers."""
        [unknown] = await ADMISSION.find_unknown(self._service.reads, [(event.course_id, event.lesson_id)])
        if unknown is not None:
            raise build_named_problem(f"unknown-{unknown}", UNKNOWN[unknown])
        await self._readers.catalog.require_new_workers()
        at = datetime.now(UTC)
        [event_id], applied = await self._service.publish_and_wait([(event, at, str(uuid4()))])
        if not applied:
            return json_response(WaiverAnswer(event_id=event_id), 202)
        overruled = await is_waiver_overruled(self._service.reads, event, at)
        return json_response(WaiverAnswer(event_id=event_id, success=not overruled))


async def waivers(
    caller: CallerDep,
    service: ServiceDep,
    readers: ReadersDep,
    course_id: Annotated[UUID, Path(alias="courseId")],
    user_id: Annotated[UUID, Path(alias="userId")],
) -> Waivers:
    """Provides the waivers of a learner in a course. Raises a problem, 403, unless the caller may waive there."""
    caller.require(Scope.WAIVERS)
    caller.require_course(course_id)
    return Waivers(user_id, course_id, service, readers)


WaiversDep = Annotated[Waivers, Depends(waivers)]


@router.post("/{courseId}/learners/{userId}/waivers", response_model=WaiverAnswer, responses=ACCEPTED)
async def waive(body: WaiverBody, found: WaiversDep) -> Response:
    """Lets a lesson count as met for a learner who need not complete it, from now on."""
    return await found.publish(LessonWaived(**found.ids, **body.model_dump()))


@router.delete("/{courseId}/learners/{userId}/waivers", response_model=WaiverAnswer, responses=ACCEPTED)
async def withdraw(body: WithdrawalBody, found: WaiversDep) -> Response:
    """Takes the waiver of a lesson back. A lesson that the learner has completed stays completed."""
    return await found.publish(LessonWaiverWithdrawn(**found.ids, **body.model_dump()))
