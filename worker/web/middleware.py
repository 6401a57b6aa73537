"""Wraps every request: limits its body, adds security headers, measures it, and hides unforeseen errors."""

import asyncio
import time

import structlog
from prometheus_client import Gauge, Histogram
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.web.problems import Problem, problem_response

log = structlog.get_logger("api")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
REQUEST_SECONDS = Histogram(
    "progress_api_request_seconds",
    "Seconds until a response begins, by route, method and status",
    ["route", "method", "status"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.03, 0.06, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
STREAMS = Gauge("progress_api_streams", "Streams of server-sent events that are open")
BODY_WITHIN_S = 60
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class OuterMiddleware:
    """Limits bodies, adds headers and measures responses. Outermost; pure ASGI, so that streams are not buffered."""

    def __init__(self, app: ASGIApp, body_limit: int) -> None:
        self._app = app
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                _observe(scope, message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, limit_size(scope, limit_time(receive), self._body_limit), send_with_headers)


class CatchAllMiddleware:
    """Answers an unforeseen error with a problem that reveals nothing of the inside. The innermost middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except ClientDisconnect:
            return  # the client is gone
        except Exception:
            log.exception("a request failed")
            if started:
                raise
            await problem_response(Request(scope), Problem(500, "the API's log has the details"))(scope, receive, send)


def limit_size(scope: Scope, receive: Receive, limit: int) -> Receive:
    """Passes the body on. Raises a problem, 413, as soon as it is known to have more bytes than the limit."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    declared_size = int(declared) if declared.isdigit() else 0
    received_size = 0

    def require(size: int) -> None:
        if size > limit:
            raise Problem(413, f"more than {limit} bytes")

    async def receive_counted() -> Message:
        nonlocal received_size
        require(declared_size)
        message = await receive()
        received_size += len(message.get("body", b""))
        require(received_size)
        return message

    return receive_counted


def limit_time(receive: Receive) -> Receive:
    """Passes the body on. Raises a problem, 408, when it takes longer than BODY_WITHIN_S."""
    complete = False
    until = asyncio.get_running_loop().time() + BODY_WITHIN_S

    async def receive_in_time() -> Message:
        nonlocal complete
        try:
            # After a complete body, only the client's leaving is left to wait for.
            async with asyncio.timeout_at(None if complete else until):
                message = await receive()
        except TimeoutError:
            raise Problem(
                408, f"the body did not arrive within {BODY_WITHIN_S} s", headers={"Connection": "close"}
            ) from None
        complete = not message.get("more_body", False)
        return message

    return receive_in_time


def _observe(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in METHODS else "other"
    REQUEST_SECONDS.labels(route, method, str(status)).observe(seconds)
