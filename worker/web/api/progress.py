"""Reads a learner's progress from PostgreSQL."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from worker.courses.outlines import Outline, find_next
from worker.learners.reads import CompletedLesson, CourseProgress, ListCursor
from worker.web.api.dependencies import LearnerDep, OutlinesDep, ServiceDep
from worker.web.api.responses import conditional_response, to_schema
from worker.web.api.schemas import (
    MOST_NAMED,
    CourseAnswer,
    CourseName,
    LessonName,
    LessonsAnswer,
    ListAnswer,
    NextAnswer,
    NextLesson,
    Progress,
    Stats,
    StatsAnswer,
)
from worker.web.limits import count_call
from worker.web.problems import Problem

MOST_ASKED_FOR = 100
UUID_PATTERN = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
LARGEST_PAGE = 200
LARGEST_LESSONS_PAGE = 1000

router = APIRouter(prefix="/api/progress", tags=["progress"], dependencies=[Depends(count_call)])


async def parse_course_ids(
    text: Annotated[
        str | None,
        Query(
            alias="courseIds",
            description=f"Only these courses, up to {MOST_ASKED_FOR}, comma-separated; paging and filter do not apply",
            pattern=rf"^{UUID_PATTERN}(,{UUID_PATTERN}){{0,{MOST_ASKED_FOR - 1}}}$",
            examples=["0b9f7f0e-9b1a-4a51-8f0e-3a8d5f0c2d22"],
        ),
    ] = None,
) -> list[UUID]:
    """Parses the parameter `courseIds`."""
    return [UUID(part) for part in text.split(",")] if text else []


Cursor = Annotated[str | None, Query(alias="cursor", description="The `nextCursor` of the page before")]


async def parse_place(cursor: Cursor = None) -> ListCursor | None:
    """Parses the parameter `cursor` of the list of courses. Raises a problem, 400."""
    if cursor is None:
        return None
    time, course_id = decode_cursor(cursor)
    try:
        return ListCursor(time, UUID(course_id))
    except ValueError:
        raise build_cursor_problem() from None


async def parse_lesson_place(cursor: Cursor = None) -> CompletedLesson | None:
    """Parses the parameter `cursor` of a course's lessons. Raises a problem, 400."""
    if cursor is None:
        return None
    time, lesson_id = decode_cursor(cursor)
    return CompletedLesson(lesson_id, time)


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Returns the time and the id in a cursor. Raises a problem, 400."""
    try:
        time, id = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ", 1)
        return datetime.fromisoformat(time).astimezone(UTC), id
    except (ValueError, OverflowError, binascii.Error):
        raise build_cursor_problem() from None


def build_cursor_problem() -> Problem:
    return Problem(400, "see `errors`", errors=[{"parameter": "cursor", "detail": "Not a cursor of this API"}])


def encode_cursor(progress: CourseProgress) -> str:
    """Returns the cursor of the page that begins after this course."""
    return join_cursor(progress.last_accessed_at, str(progress.course_id))


def join_cursor(time: datetime, id: str) -> str:
    return base64.urlsafe_b64encode(f"{time.isoformat()} {id}".encode()).decode()


@router.get("", response_model=ListAnswer)
async def list_progress(
    request: Request,
    user: LearnerDep,
    service: ServiceDep,
    courses: Annotated[list[UUID], Depends(parse_course_ids)],
    after: Annotated[ListCursor | None, Depends(parse_place)],
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
        raise build_no_progress_problem(read.as_of)
    return conditional_response(request, CourseAnswer(as_of=read.as_of, progress=Progress.model_validate(progress)))


@by_course.get("/{courseId}/lessons", response_model=LessonsAnswer)
async def list_lessons(
    request: Request,
    user: LearnerDep,
    service: ServiceDep,
    course_id: Annotated[UUID, Path(alias="courseId")],
    after: Annotated[CompletedLesson | None, Depends(parse_lesson_place)],
    limit: Annotated[int, Query(ge=1, le=LARGEST_LESSONS_PAGE)] = LARGEST_LESSONS_PAGE,
) -> Response:
    """Lists the lessons that the learner completed in one course, in that order, in pages; 404 without progress."""
    page = await service.reads.list_lessons(user, course_id, after=after, limit=limit + 1)
    if not page.value and not (await service.reads.read_courses(user, [course_id])).value:
        raise build_no_progress_problem(page.as_of)
    items = page.value[:limit]
    cursor = join_cursor(items[-1].completed_at, items[-1].lesson_id) if len(page.value) > limit else None
    return conditional_response(request, LessonsAnswer(as_of=page.as_of, items=items, next_cursor=cursor))


@by_course.get("/{courseId}/next", response_model=NextAnswer)
async def get_next(
    request: Request,
    user: LearnerDep,
    service: ServiceDep,
    outlines: OutlinesDep,
    course_id: Annotated[UUID, Path(alias="courseId")],
) -> Response:
    """Returns the lesson at which the learner goes on; null, with the reason, where there is none. The course need not
    be begun."""
    read = await outlines.read_outlines(service.reads, user, [course_id])
    outline = read.value.get(course_id)
    return conditional_response(request, build_next(read.as_of, course_id, outline))


def build_next(as_of: datetime, course_id: UUID, outline: Outline | None) -> NextAnswer:
    found = find_next(outline)
    lesson = found.lesson
    return NextAnswer(
        as_of=as_of,
        course_id=course_id,
        next=lesson
        and NextLesson(lesson_id=lesson.id, title=lesson.title or None, section=lesson.section, href=lesson.href),
        reason=found.reason,
        missing=[LessonName.model_validate(missing) for missing in found.missing[:MOST_NAMED]],
        missing_courses=[CourseName.model_validate(missing) for missing in found.missing_courses[:MOST_NAMED]],
        lessons_added=outline.added if outline else 0,
    )


def build_no_progress_problem(as_of: datetime) -> Problem:
    return Problem(404, "no progress in this course", asOf=f"{as_of:%Y-%m-%dT%H:%M:%S.%fZ}")
