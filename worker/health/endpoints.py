"""`/live`, `/ready` and `/metrics`, on the worker's one port."""

import time
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from worker.intake.intake import Intake
from worker.outbox.relay import Relay
from worker.settings import Settings

DEAD_LETTERS_S = 120


def create_health(
    intake: Intake, relay: Relay, settings: Settings, now: Callable[[], float] = time.monotonic
) -> Starlette:
    """Health means progress. A worker is live while its loop turns, also when all it does is wait: for a server known
    to be away, for the group in a rebalance, or for somebody because the breaker is open."""

    async def live(_: Request) -> Response:
        silent_s = intake.silent_s(now())
        dead = [name for name, service in (("intake", intake), ("relay", relay)) if service.dead]
        fine = not dead and silent_s <= longest_turn_s(settings)
        return JSONResponse(
            {"live": fine, "seconds_since_last_turn": round(silent_s, 3), "dead": dead},
            status_code=200 if fine else 503,
        )

    async def ready(_: Request) -> Response:
        waiting = intake.waiting_for
        partitions = sorted(tp.partition for tp in intake.owned)
        return JSONResponse(
            {"ready": not waiting, "waiting_for": waiting, "partitions": partitions},
            status_code=503 if waiting else 200,
        )

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/live", live), Route("/ready", ready), Route("/metrics", metrics)])


def longest_turn_s(settings: Settings) -> float:
    """A loop that is silent for longer is stuck.

    A batch that hangs in the database, which looks like a slow one, comes back as DatabaseUnavailable: after
    the time limit of a statement, and a batch with resets has two; its dead letters may take two minutes before.
    """
    return DEAD_LETTERS_S + 2 * settings.database_timeout_s
