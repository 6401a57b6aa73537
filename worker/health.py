"""`/live`, `/ready` and `/metrics`, on the worker's one port."""

import time
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from worker.intake import Intake

STUCK_AFTER_S = 120


def create_health(intake: Intake, now: Callable[[], float] = time.monotonic) -> Starlette:
    """Health means progress: a worker whose loop turns is live, also while it waits for a server known to be away."""

    async def live(_: Request) -> Response:
        silent_s = now() - intake.last_turn
        stuck = silent_s > STUCK_AFTER_S
        return JSONResponse(
            {"live": not stuck, "seconds_since_last_turn": round(silent_s, 3)},
            status_code=503 if stuck else 200,
        )

    async def ready(_: Request) -> Response:
        waiting = intake.waiting_for or (None if intake.joined else "the consumer group has not settled")
        partitions = sorted(tp.partition for tp in intake.owned)
        return JSONResponse(
            {"ready": not waiting, "waiting_for": waiting, "partitions": partitions},
            status_code=503 if waiting else 200,
        )

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/live", live), Route("/ready", ready), Route("/metrics", metrics)])
