"""Serves a course's figures to its instructors, whose token has the scope and names the course."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field

from worker.courses.analytics import FRESH_S, MOST_LESSONS, Analytics
from worker.courses.anonymity import K
from worker.web.api.responses import conditional_response
from worker.web.api.schemas import AS_OF, COURSE, Answer, CamelModel, with_examples
from worker.web.auth import CallerDep, Scope
from worker.web.limits import count_call
from worker.web.readers import ReadersDep

router = APIRouter(prefix="/api/courses", tags=["courses"], dependencies=[Depends(count_call)])

ROUNDED = f"A multiple of {K}, rounded down; 0 means fewer than {K}"


class LessonReach(CamelModel):
    """Counts the learners who completed a lesson."""

    lesson_id: str
    learners: int = Field(description=ROUNDED)


class Duration(CamelModel):
    """Counts the learners who took this long from their first event to completing the course."""

    from_s: int
    below_s: int | None = Field(description="Null: without an upper bound")
    learners: int = Field(description=ROUNDED)


class ActiveDay(CamelModel):
    """Counts the learners who were active on a day, in UTC."""

    day: date
    learners: int = Field(description=ROUNDED)


class Figures(CamelModel):
    """Sums up a course that has enough learners."""

    learners: int = Field(description=ROUNDED)
    completed: int = Field(description=ROUNDED)
    completion_rate: int | None = Field(description="In whole percent. Null: too few learners")
    lessons: list[LessonReach] = Field(
        description=f"In the order in which learners complete them: the {MOST_LESSONS} that most learners completed"
    )
    more_lessons: int = Field(
        0, exclude_if=lambda more: more == 0, description="How many lessons `lessons` leaves out. Absent: none"
    )
    time_to_complete: list[Duration]
    active: list[ActiveDay] = Field(description="The last 30 days, today last")


class AnalyticsAnswer(Answer):
    """Answers with a course's figures, none of which singles out a learner."""

    model_config = with_examples(
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
    """Returns the course. Raises a problem, 403, unless the caller may see its figures."""
    caller.require(Scope.ANALYTICS)
    caller.require_course(course_id)
    return course_id


CourseDep = Annotated[UUID, Depends(course)]


@router.get("/{courseId}/analytics", response_model=AnalyticsAnswer)
async def get_analytics(request: Request, course_id: CourseDep, readers: ReadersDep) -> Response:
    """Returns learners, completion, drop-out by lesson, time to complete and active learners, at most a minute old.
    Counts are multiples of five, so that none singles out a learner."""
    return conditional_response(request, build_answer(course_id, await readers.analytics.read(course_id)))


def build_answer(course_id: UUID, found: Analytics | None) -> AnalyticsAnswer:
    if found is None:  # which may be as old as an answer can be
        as_of = datetime.now(UTC) - timedelta(seconds=FRESH_S)
        return AnalyticsAnswer(as_of=as_of, course_id=course_id, figures=None)
    return AnalyticsAnswer(as_of=found.as_of, course_id=course_id, figures=Figures.model_validate(found))
