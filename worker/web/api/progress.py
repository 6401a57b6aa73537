"""Reads a learner's progress from PostgreSQL."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from worker.learners.reads import CourseProgress, ListCursor
from worker.web.api.dependencies import LearnerDep, ServiceDep
from worker.web.api.responses import conditional_response, to_schema
from worker.web.api.schemas import CourseAnswer, ListAnswer, Progress, Stats, StatsAnswer
from worker.web.limits import count_call
from worker.web.problems import Problem

MOST_COURSES = 100
UUID_PATTERN = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
LARGEST_PAGE = 200

router = APIRouter(prefix="/api/progress", tags=["progress"], dependencies=[Depends(count_call)])


async def course_ids(
    text: Annotated[
        str | None,
        Query(
            alias="courseIds",
            description=f"Only these courses, up to {MOST_COURSES}, comma-separated; paging and filter do not apply",
            pattern=rf"^{UUID_PATTERN}(,{UUID_PATTERN}){{0,{MOST_COURSES - 1}}}$",
            examples=["0b9f7f0e-9b1a-4a51-8f0e-3a8d5f0c2d22"],
        ),
    ] = None,
) -> list[UUID]:
    """Parses the parameter `courseIds`."""
    return [UUID(part) for part in text.split(",")] if text else []


async def place(
    cursor: Annotated[str | None, Query(description="The `nextCursor` of the page before")] = None,
) -> ListCursor | None:
    """Parses the parameter `cursor`. Raises a problem, 400."""
    if cursor is None:
        return None
    try:
        time, course_id = base64.urlsafe_b64decode(cursor.encode()).decode().split()
        return ListCursor(datetime.fromisoformat(time).astimezone(UTC), UUID(course_id))
    except (ValueError, OverflowError, binascii.Error):
        raise Problem(
            400, "see `errors`", errors=[{"parameter": "cursor", "detail": "Not a cursor of this API"}]
        ) from None


def encode_cursor(progress: CourseProgress) -> str:
    """Returns the cursor of the page that begins after this course."""
    text = f"{progress.last_accessed_at.isoformat()} {progress.course_id}"
    return base64.urlsafe_b64encode(text.encode()).decode()


@router.get("", response_model=ListAnswer)
async def list_progress(
    request: Request,
    user: LearnerDep,
    service: ServiceDep,
    courses: Annotated[list[UUID], Depends(course_ids)],
    after: Annotated[ListCursor | None, Depends(place)],
    include_completed: Annotated[bool, Query(alias="includeCompleted")] = True,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
) -> Response:
    """Lists the learner's courses in pages, the latest accessed first, or some courses at once."""
    if courses:
        some = await service.reads.read_courses(user, courses)
        found = sorted(some.value.values(), key=lambda p: (-p.last_accessed_at.timestamp(), p.course_id))
        return conditional_response(request, ListAnswer(as_of=some.as_of, items=to_schema(found), next_cursor=None))
    page = await service.reads.list_courses(user, include_completed=include_completed, after=after, limit=limit + 1)
    items = page.value[:limit]
    cursor = encode_cursor(items[-1]) if len(page.value) > limit else None
    return conditional_response(request, ListAnswer(as_of=page.as_of, items=to_schema(items), next_cursor=cursor))


@router.get("/stats", response_model=StatsAnswer)
async def get_stats(request: Request, user: LearnerDep, service: ServiceDep) -> Response:
    """Returns statistics over all courses of the learner."""
    read = await service.reads.read_stats(user)
    return conditional_response(request, StatsAnswer(as_of=read.as_of, stats=Stats.model_validate(read.value)))


# Included after the fixed paths, which this one would take for a course's id.
by_course = APIRouter(prefix="/api/progress", tags=["progress"], dependencies=[Depends(count_call)])


@by_course.get("/{courseId}", response_model=CourseAnswer)
async def get_progress(
    request: Request, user: LearnerDep, service: ServiceDep, course_id: Annotated[UUID, Path(alias="courseId")]
) -> Response:
    """Returns the learner's progress in one course; 404 where there is none."""
    read = await service.reads.read_courses(user, [course_id])
    progress = read.value.get(course_id)
    if progress is None:
        raise Problem(404, "no progress in this course", asOf=f"{read.as_of:%Y-%m-%dT%H:%M:%S.%fZ}")
    return conditional_response(request, CourseAnswer(as_of=read.as_of, progress=Progress.model_validate(progress)))
