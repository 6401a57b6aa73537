"""Answers every error with problem+json (RFC 9457), in one shape. docs/api.md lists the types."""

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from worker.courses.analytics import FRESH_S
from worker.errors import (
    InvalidCourseId,
    InvalidLesson,
    InvalidTime,
    InvalidUserId,
    ProgressError,
    TooMuchToCompare,
    TooMuchToCount,
    Unavailable,
    UnknownCertificate,
    ValueRefused,
    VersionKnown,
    WorkersTooOld,
)
from worker.kafka.outage_gate import RETRY_AFTER_S

log = structlog.get_logger("api")

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:course-progress:problem:"
INVALID = (InvalidUserId, InvalidCourseId, InvalidLesson, InvalidTime, ValueRefused)
# The name in `type` and the title, by status.
PROBLEMS: Mapping[int, tuple[str, str]] = {
    400: ("invalid-request", "The request is not valid"),
    401: ("unauthenticated", "A valid token is needed"),
    403: ("forbidden", "The token does not allow this"),
    404: ("not-found", "There is nothing here"),
    405: ("method-not-allowed", "This method is not allowed here"),
    408: ("too-slow", "The request's body did not arrive in time"),
    409: ("conflict", "Another call is under way"),
    413: ("too-large", "The request's body is too large"),
    422: ("full", "There is no room for more"),
    429: ("too-many-requests", "Too many requests"),
    500: ("internal", "Something went wrong here"),
    503: ("unavailable", "This cannot be answered at the moment"),
}
# Problems whose status alone does not say what to do: status and title, by the name in `type`.
NAMED: Mapping[str, tuple[int, str]] = {
    "unknown-lesson": (404, "No version of the course names this lesson"),
    "unknown-course": (404, "The course has no version"),
    "version-known": (409, "The version is known with another content"),
    "prerequisite-missing": (409, "Other lessons are to be completed first"),
    "too-many-learners": (503, "There are too many learners to compare in time"),
}


class Problem(HTTPException):
    """Answers the request with this problem; `extra` becomes further members of it. `name` is one of NAMED."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(status, detail, headers)
        self.name = name
        self.extra = extra


def build_retry_problem(status: int, detail: str, after_s: float) -> Problem:
    """Returns a problem that goes away by itself: the client may repeat the request after `after_s`."""
    return Problem(status, detail, headers={"Retry-After": str(max(1, math.ceil(after_s)))})


def build_named_problem(name: str, detail: str, **extra: Any) -> Problem:
    """Returns the problem of NAMED with its status; `extra` becomes further members of it."""
    return Problem(NAMED[name][0], detail, name=name, **extra)


def problem_response(request: Request, problem: HTTPException) -> Response:
    status = problem.status_code
    name, title = PROBLEMS.get(status, ("other", HTTPStatus(status).phrase))
    if own := getattr(problem, "name", None):
        name, title = own, NAMED[own][1]
    body = {
        "type": TYPE + name,
        "title": title,
        "status": status,
        "detail": problem.detail,
        "instance": quote(request.url.path),
        **getattr(problem, "extra", {}),
    }
    # ASCII, because a client's text may hold what UTF-8 cannot encode.
    return Response(json.dumps(body), status, problem.headers, MEDIA_TYPE)


def add_problems(app: FastAPI) -> None:
    """Makes the app answer every error with a problem. `CatchAllMiddleware` answers those that are unforeseen."""
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(ProgressError, _answer_progress_error)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405 and (methods := find_methods(request)):
        error = Problem(405, "see the header Allow", headers={"Allow": ", ".join(methods)})
    return problem_response(request, error)


def find_methods(request: Request) -> list[str]:
    """Returns the methods of this path, each of which is a route of its own."""
    path = getattr(request.scope.get("route"), "path", None)
    same = (route for route in iter_route_contexts(request.app.routes) if route.path == path)
    return sorted({method for route in same for method in route.methods or ()})


async def _answer_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(request, Problem(400, "see `errors`", errors=[describe_error(e) for e in error.errors()]))


async def _answer_progress_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProgressError)
    return problem_response(request, to_problem(error))


def to_problem(error: ProgressError) -> Problem:
    """Translates an error. Its text goes out only if it is about the input: other texts name settings and servers."""
    if isinstance(error, INVALID):
        return Problem(400, str(error))
    if isinstance(error, UnknownCertificate):
        return Problem(404, str(error))
    if isinstance(error, VersionKnown):
        return build_named_problem("version-known", str(error))
    if isinstance(error, WorkersTooOld):
        log.warning("a version is not published", reason=str(error))
        return build_retry_problem(503, "a worker is too old to know versions: an operator upgrades it first", FRESH_S)
    if isinstance(error, TooMuchToCompare):
        log.warning("a dry run took too long", reason=str(error))
        return build_named_problem("too-many-learners", "an operator runs `course-progress catalog check`")
    if isinstance(error, TooMuchToCount):
        log.warning("a course's figures took too long", reason=str(error))
        return build_retry_problem(503, "there is too much to count in time; the next try is in a minute", FRESH_S)
    if isinstance(error, Unavailable):
        log.warning("a server is away", reason=str(error))
        return build_retry_problem(503, "a server is away, and repeating the request is safe", RETRY_AFTER_S)
    log.error("a request failed", reason=str(error), error=type(error).__name__)
    return Problem(500, "the API's log has the details")


def describe_error(error: Mapping[str, Any]) -> dict[str, str]:
    """Says where one of pydantic's errors is (a JSON pointer or a parameter) and what it is, without the value."""
    where, *path = error["loc"]
    if where == "body":
        pointer = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
        return {"pointer": "" if error["type"] == "json_invalid" else pointer, "detail": error["msg"]}
    return {"parameter": ".".join(map(str, path)) or str(where), "detail": error["msg"]}
