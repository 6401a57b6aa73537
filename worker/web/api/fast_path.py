"""The short way to one course: docs/decisions/0024."""

import re

from fastapi import Request, Response
from starlette import types as asgi
from starlette.routing import Match, Route

from worker.web.api.dependencies import service
from worker.web.api.progress import UUID_PATTERN, get_progress
from worker.web.auth import caller
from worker.web.limits import count_call


async def get_own_progress(request: Request) -> Response:
    """What FastAPI would have get_progress do for a request without a query."""
    calling = await caller(request)
    await count_call(request, calling)
    return await get_progress(request, calling.user_id, await service(request), request.path_params["courseId"])


class FastPath(Route):
    """`GET /{courseId}` without a query, as nearly everybody asks it. With one it is FastAPI's.

    FastAPI's way to a handler and to its arguments takes a third of the call's CPU: docs/decisions/0024.
    """

    def __init__(self) -> None:
        super().__init__("/api/progress/{courseId:uuid}", get_own_progress)
        # Starlette's own takes half a hyphenation.
        self.path_regex = re.compile(rf"/api/progress/(?P<courseId>{UUID_PATTERN})\Z")
        self.path = self.path_format  # as FastAPI's route of it: what metrics and the header Allow name
        self.methods = {"GET"}  # and not the HEAD that Starlette adds

    def matches(self, scope: asgi.Scope) -> tuple[Match, asgi.Scope]:
        if scope.get("query_string"):
            return Match.NONE, {}
        match, found = super().matches(scope)
        return match, {**found, "route": self}
