"""Explains a learner's progress: the version that decides, each lesson, and what does not count."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from worker.courses.explanation import Explanation
from worker.web.api.dependencies import LearnerDep
from worker.web.api.progress import build_no_progress_problem
from worker.web.api.responses import conditional_response
from worker.web.api.schemas import Answer
from worker.web.limits import count_call
from worker.web.readers import ReadersDep

router = APIRouter(prefix="/api/progress", tags=["progress"], dependencies=[Depends(count_call)])


class ExplanationAnswer(Answer):
    """Answers with the explanation of a learner's progress in one course."""

    explanation: Explanation


@router.get("/{courseId}/explain", response_model=ExplanationAnswer)
async def explain_progress(
    request: Request, user: LearnerDep, readers: ReadersDep, course_id: Annotated[UUID, Path(alias="courseId")]
) -> Response:
    """Explains the learner's progress in one course, as data and as sentences. Who has not begun a course that has a
    version is explained 0 %; 404 where there is neither a version nor progress."""
    read = await readers.explanations.read(user, course_id)
    if read.value is None:
        raise build_no_progress_problem(read.as_of)
    return conditional_response(request, ExplanationAnswer(as_of=read.as_of, explanation=read.value))
