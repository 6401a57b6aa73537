"""Sends answers as JSON, or as 304 when the client has the content already."""

import hashlib
from collections.abc import Iterable, Mapping

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from worker.learners.reads import CourseProgress
from worker.web.api.schemas import Answer, CamelModel, Progress


def to_schema(found: Iterable[CourseProgress]) -> list[Progress]:
    return [Progress.model_validate(progress) for progress in found]


def conditional_response(request: Request, answer: Answer) -> Response:
    """Returns the answer, or 304 when the client has this content already."""
    headers = {"ETag": answer.etag(), "Cache-Control": "private, no-cache"}
    return answer_unchanged(request, headers) or json_response(answer, headers=headers)


def answer_unchanged(request: Request, headers: Mapping[str, str]) -> Response | None:
    """Returns a 304 when the client has the content of this ETag already, else None."""
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or headers["ETag"] in (tag.strip() for tag in known.split(",")):
        return Response(status_code=304, headers=dict(headers))
    return None


def json_response(answer: CamelModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(answer.model_dump_json(by_alias=True), status, headers, JSONResponse.media_type)


def tag_content(content: bytes) -> str:
    """Returns a strong ETag of the content."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
