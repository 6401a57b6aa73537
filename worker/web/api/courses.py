"""How a course goes, for its instructors: the token names the scope and the course."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field

from worker.courses.analytics import FRESH_S, Analytics
from worker.courses.anonymity import K
from worker.web.api.responses import conditional_response
from worker.web.api.schemas import AS_OF, COURSE, Answer, Camel, examples
from worker.web.auth import CallerDep, Scope
from worker.web.limits import count_call
from worker.web.readers import ReadersDep

router = APIRouter(prefix="/api/courses", tags=["courses"], dependencies=[Depends(count_call)])

ROUNDED = f"A multiple of {K}, rounded down: 0 is fewer than {K}"


class LessonReach(Camel):
    """How many have completed a lesson."""

    lesson_id: str
    learners: int = Field(description=ROUNDED)


class Duration(Camel):
    """How many completed the course within this time of their first event."""

    from_s: int
    below_s: int | None = Field(description="Null: however long it took")
    learners: int = Field(description=ROUNDED)


class ActiveDay(Camel):
    """How many were active on a day, in UTC."""

    day: date
    learners: int = Field(description=ROUNDED)


class Figures(Camel):
    """Of a course with enough learners."""

    learners: int = Field(description=ROUNDED)
    completed: int = Field(description=ROUNDED)
    completion_rate: int | None = Field(description="Whole percent; null: too few learners to tell")
    lessons: list[LessonReach] = Field(description="In the order in which learners complete them")
    time_to_complete: list[Duration]
    active: list[ActiveDay] = Field(description="The last 30 days, today last")


class AnalyticsAnswer(Answer):
    """A course's figures, none of which singles out a learner."""

    model_config = examples(
        {
            "asOf": AS_OF,
            "courseId": COURSE,
            "figures": {
                "learners": 120,
                "completed": 45,
                "completionRate": 37,
                "lessons": [{"lessonId": "intro", "learners": 110}, {"lessonId": "setup", "learners": 70}],
                "timeToComplete": [{"fromS": 0, "belowS": 86400, "learners": 45}],
                "active": [{"day": "2026-11-22", "learners": 15}],
            },
        }
    )

    course_id: UUID
    figures: Figures | None = Field(description=f"Null: the course has fewer than {K} learners")


async def course(caller: CallerDep, course_id: Annotated[UUID, Path(alias="courseId")]) -> UUID:
    """The course, of which the caller may see the figures. Raises a problem, 403."""
    caller.require(Scope.ANALYTICS)
    caller.require_course(course_id)
    return course_id


Course = Annotated[UUID, Depends(course)]


@router.get("/{courseId}/analytics", response_model=AnalyticsAnswer)
async def get_analytics(request: Request, course_id: Course, readers: ReadersDep) -> Response:
    """Learners, completion, drop-out by lesson, time to complete, active learners; at most a minute old. Nothing that
    singles out a learner: counts are multiples of five."""
    return conditional_response(request, answer(course_id, await readers.analytics.read(course_id)))


def answer(course_id: UUID, found: Analytics | None) -> AnalyticsAnswer:
    if found is None:  # which may be as old as an answer can be
        as_of = datetime.now(UTC) - timedelta(seconds=FRESH_S)
        return AnalyticsAnswer(as_of=as_of, course_id=course_id, figures=None)
    return AnalyticsAnswer(as_of=found.as_of, course_id=course_id, figures=Figures.model_validate(found))
