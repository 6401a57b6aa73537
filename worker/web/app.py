"""Composes the HTTP API on one screen. docs/api.md says what the API promises."""

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from worker.courses.admission import Admission
from worker.courses.outlines import Outlines
from worker.courses.prerequisites import Prerequisites
from worker.learners.allowance import Allowance
from worker.learners.service import ProgressService
from worker.web import probes
from worker.web.api import catalog, openapi, operations
from worker.web.api.fast_path import FastPath
from worker.web.api.progress_poller import ProgressPoller
from worker.web.api.routes import api_router
from worker.web.auth import Tokens
from worker.web.connection import choose_most_connections
from worker.web.keys import Keys
from worker.web.limits import RateLimits
from worker.web.middleware import STREAMS, CatchAllMiddleware, OuterMiddleware
from worker.web.problems import add_problems
from worker.web.public import public_router
from worker.web.readers import Readers
from worker.web.settings import ApiSettings


def create_api(
    settings: ApiSettings,
    keys: Keys,
    service: ProgressService,
    *,
    readers: Readers | None = None,
    cookie: str | None = None,
    pages: APIRouter | None = None,
) -> FastAPI:
    """Builds the API over services that the caller has entered, and leaves after the server has stopped.

    `keys` alone prove who calls. `cookie` names a cookie in which the API's own pages may carry the token. `pages` are
    these pages (worker/web/pages); they need `readers`, and answer every path that has no route. Live streams end with
    `app.state.poller.close()`. Raises SetupError.
    """
    # A redirect to the path without its slash would name the request's own host and scheme, and take the token there.
    app = FastAPI(**openapi.ABOUT, redirect_slashes=False)
    app.state.tokens = Tokens(settings, keys, cookie)
    app.state.limits = RateLimits(settings)
    app.state.service = service
    app.state.admission = Admission(settings.api_unknown_courses)
    app.state.prerequisites = Prerequisites()
    app.state.outlines = Outlines()
    app.state.allowance = Allowance(settings.api_courses_per_learner, settings.api_lessons_per_course)
    app.state.poller = poller = _make_poller(settings, service, readers)
    app.state.readers = readers
    app.state.replays = operations.Replays(settings)
    app.state.dry_runs = catalog.DryRuns(settings)
    STREAMS.set_function(lambda: poller.streams)
    app.router.routes.append(FastPath())  # checks the token itself
    app.include_router(api_router(readers=readers is not None))
    app.include_router(probes.router)
    if pages is not None and cookie is not None and readers is not None:
        app.include_router(pages)
        app.router.default = pages.default
    if readers is not None and readers.certificates is not None:
        app.include_router(public_router(readers.certificates))
    add_problems(app)
    app.add_middleware(CatchAllMiddleware)
    _add_cors(app, settings.cors_origins)
    app.add_middleware(OuterMiddleware, body_limit=settings.api_body_limit)
    app.openapi = lambda: openapi.build_schema(app)  # type: ignore[method-assign]
    return app


def _make_poller(settings: ApiSettings, service: ProgressService, readers: Readers | None) -> ProgressPoller:
    achievements = readers.achievements if readers is not None else None
    # So that connections are left for everyone else, /live among them.
    most_streams = max(1, choose_most_connections(settings) * 3 // 4)
    read_awards = achievements.read_awards if achievements is not None else None
    return ProgressPoller(service, settings.api_streams_per_learner, most_streams, read_awards)


def _add_cors(app: FastAPI, origins: str) -> None:
    """Lets pages of these comma-separated origins call the API."""
    if not origins:
        return
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[origin.strip() for origin in origins.split(",")],
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "If-None-Match", "Last-Event-ID"],
        expose_headers=["ETag", "Retry-After"],
    )
