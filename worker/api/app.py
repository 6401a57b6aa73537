"""The HTTP API, composed on one screen: docs/api.md says what it promises."""

from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from worker.api import health, openapi, progress, stream
from worker.api.auth import Keys, Tokens, caller
from worker.api.changes import Changes
from worker.api.headers import STREAMS, Surrounded
from worker.api.kafka_watch import KafkaWatch
from worker.api.limits import RateLimits
from worker.api.problems import add_problems
from worker.service import ProgressService
from worker.settings import ApiSettings


def create_api(settings: ApiSettings, keys: Keys, service: ProgressService, *, cookie: str | None = None) -> FastAPI:
    """The API over a service that the caller has entered, and leaves after the server has stopped.

    Who calls is proved by `keys` alone. `cookie` names one in which the API's own pages may have the token. Raises
    SetupError. Streams end with `app.state.changes.close()`.
    """
    app = FastAPI(**openapi.ABOUT)
    app.state.tokens = Tokens(settings, keys, cookie)
    app.state.limits = RateLimits(settings)
    app.state.service = service
    app.state.kafka = KafkaWatch()
    app.state.changes = changes = Changes(service, settings.api_streams_per_learner)
    STREAMS.set_function(lambda: changes.streams)
    app.include_router(api_router())
    app.include_router(health.router)
    add_problems(app)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[origin.strip() for origin in settings.cors_origins.split(",")],
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-None-Match", "Last-Event-ID"],
            expose_headers=["ETag", "Retry-After"],
        )
    app.add_middleware(Surrounded, body_limit=settings.api_body_limit)
    app.openapi = lambda: openapi.described(app)  # type: ignore[method-assign]
    return app


def api_router() -> APIRouter:
    """Everything under /api: nothing in it is reached without a token."""
    router = APIRouter(dependencies=[Depends(caller)])
    for part in (progress.batches, progress.writes, progress.reads, stream.router, progress.one):
        router.include_router(part)
    return router
