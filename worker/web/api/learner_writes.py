"""Publishes a learner's events, unless a rule of the door refuses them, and answers when they are applied."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response

from events.models import LessonCompleted, ProgressReset
from worker.courses.admission import Admission, Found, Unknown
from worker.courses.prerequisites import MissingLesson, Prerequisites, Sent, describe_missing
from worker.errors import DatabaseUnavailable, TookTooLong
from worker.learners.allowance import Allowance, Full
from worker.learners.overruled import find_overruled
from worker.learners.reads import CourseProgress, ReadResult
from worker.learners.service import Accepted, ProgressService
from worker.web.api.bodies import BatchItem, Item, LessonBody
from worker.web.api.dependencies import ServiceDep
from worker.web.api.progress_poller import ProgressPoller
from worker.web.api.responses import json_response
from worker.web.api.schemas import AcceptedAnswer, BatchResult, MissingLessons, Progress, WriteAnswer
from worker.web.auth import CallerDep
from worker.web.problems import Problem, build_named_problem

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
        prerequisites: Prerequisites,
    ) -> None:
        self.user_id = user_id
        self.service = service
        self._poller = poller
        self._admission = admission
        self._allowance = allowance
        self._prerequisites = prerequisites

    async def look_up(self, named: Sequence[tuple[UUID, str | None]]) -> list[Found]:
        """Looks up each course, with or without a lesson. Raises as Admission does."""
        return await self._admission.look_up(self.service.reads, named)

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

    async def find_missing(self, sent: Sequence[Sent], versions: Mapping[UUID, int]) -> list[tuple[MissingLesson, ...]]:
        """Returns, for each event, the lessons to be completed before it; `versions` as Prerequisites takes them.

        None is missing while an event may be on its way that completes it: then, and without PostgreSQL, all are taken.
        """
        try:
            found = await self._prerequisites.find_missing(self.service.reads, self.user_id, sent, versions)
            if any(found) and await self.service.wait_until_caught_up():
                return await self._prerequisites.find_missing(self.service.reads, self.user_id, sent, versions)
        except DatabaseUnavailable:
            pass
        return [()] * len(sent)

    async def find_rejected(self, items: Mapping[int, Item]) -> dict[int, BatchResult]:
        """Returns, by their places, those events of a batch that are not taken, each with the reason."""
        looked_up = dict(zip(items, await self.look_up(list(map(name_lesson_of_item, items.values()))), strict=True))
        rejected = {
            place: reject(POINTERS[found.unknown], UNKNOWN[found.unknown])
            for place, found in looked_up.items()
            if found.unknown
        }
        left = [place for place in items if place not in rejected]
        excess = await self.find_excess([name_lesson(items[place]) for place in left])
        rejected |= {
            place: BatchResult(status="rejected", errors=[error])
            for place, error in zip(left, excess, strict=True)
            if error
        }
        left = [place for place in left if place not in rejected]
        sent = [(items[place].build_event(self.user_id), items[place].occurred_at) for place in left]
        versions = {items[place].course_id: looked_up[place].version for place in left}
        missing = zip(left, await self.find_missing(sent, versions), strict=True)
        return rejected | {
            place: reject("/lessonId", describe_missing(lessons), lessons) for place, lessons in missing if lessons
        }

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
        Raises a problem: 404 where course or lesson is unknown, 422 where the learner has no room for it, 409 where a
        lesson is to be completed that requires others.
        """
        await self._require_taken(course_id, lesson_id, completed)
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

    async def _require_taken(self, course_id: UUID, lesson_id: str | None, completed: bool | None) -> None:
        [found] = await self.look_up([(course_id, lesson_id)])
        if found.unknown is not None:
            raise build_named_problem(f"unknown-{found.unknown}", UNKNOWN[found.unknown])
        [excess] = await self.find_excess([(course_id, None if completed is None else lesson_id)])
        if excess is not None:
            raise Problem(422, "see `errors`", errors=[excess])
        if completed and lesson_id is not None:
            event = LessonCompleted(user_id=self.user_id, course_id=course_id, lesson_id=lesson_id)
            [missing] = await self.find_missing([(event, datetime.now(UTC))], {course_id: found.version})
            if missing:
                raise build_named_problem(
                    "prerequisite-missing",
                    describe_missing(missing),
                    **MissingLessons.of(missing).model_dump(by_alias=True, exclude_none=True),
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
    return LearnerWrites(caller.user_id, service, state.poller, state.admission, state.allowance, state.prerequisites)


WritesDep = Annotated[LearnerWrites, Depends(learner_writes)]


def reject(pointer: str, detail: str, missing: Sequence[MissingLesson] = ()) -> BatchResult:
    """Says why an event of a batch is not taken."""
    named = MissingLessons.of(missing).model_dump() if missing else {}
    return BatchResult(status="rejected", errors=[{"pointer": pointer, "detail": detail}], **named)


def name_lesson_of_item(item: Item) -> tuple[UUID, str | None]:
    """Returns the course of the event, and the lesson that it names."""
    return item.course_id, getattr(item, "lesson_id", None)


def name_lesson(item: Item) -> tuple[UUID, str | None]:
    """Returns the course of the event, and the lesson whose state it decides."""
    return item.course_id, item.lesson_id if isinstance(item, LessonBody) else None
