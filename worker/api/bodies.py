"""Routes with a body. FastAPI parses it before it asks who calls: a megabyte of `[],[],…` takes it 240 ms."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from worker.api.auth import Tokens
from worker.api.headers import within_size
from worker.api.limits import Kind, RateLimits

SMALL = 16 * 1024  # bytes: all but a batch are smaller


def limited(request: Request, largest: int) -> Request:
    """The same, with a 413 for a larger body."""
    return Request(request.scope, within_size(request.scope, request.receive, largest))


def asked_first(kind: Kind, largest: int | None = SMALL) -> type[APIRoute]:
    """Routes that ask who calls, count the call, and take no larger body, before they parse it.

    `largest` None: the API's own limit alone.
    """

    class Route(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()

            async def answered(request: Request) -> Response:
                tokens: Tokens = request.app.state.tokens
                limits: RateLimits = request.app.state.limits
                limits.hit(kind, (await tokens.caller(request)).user_id)
                if largest is not None:
                    request = limited(request, largest)
                return await handler(request)

            return answered

    return Route
