"""Serves `/live`, `/ready` and `/metrics`, on the worker's one port."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from worker.health.waiting import find_wait
from worker.intake.intake import Intake
from worker.settings import Settings

DEAD_LETTERS_S = 120
STATEMENTS_OF_A_BATCH = 6  # that may be slow: reset, judge, waive, apply, judge again, recover


class Task(Protocol):
    """Runs beside the intakes for as long as the process does."""

    @property
    def dead(self) -> bool:
        """Says whether it has ended."""


def create_health(
    intakes: Sequence[Intake],
    tasks: Mapping[str, Task],
    settings: Settings,
    now: Callable[[], float] = time.monotonic,
    warnings: Sequence[str] = (),
    waits: Callable[[], str | None] = lambda: None,
) -> Starlette:
    """Serves the health of a worker, which means progress.

    A worker is live while its lanes turn. That includes waiting: for a server that is known to be away, for the group
    in a rebalance, or, because the breaker is open, for an operator. It is ready when nothing known is in the way.
    `partitions` are those of the first stream, lesson events; of another it shows only what that waits for.
    `waits` says why something else of the process waits. `warnings` may be filled later; they are shown, and make no
    worker unready.
    """

    async def live(_: Request) -> Response:
        silent_s = max(intake.silent_s(now()) for intake in intakes)
        dead = ["intake"] if any(intake.dead for intake in intakes) else []
        dead += [name for name, task in tasks.items() if task.dead]
        fine = not dead and silent_s <= longest_turn_s(settings)
        return JSONResponse(
            {"live": fine, "seconds_since_last_turn": round(silent_s, 3), "dead": dead},
            status_code=200 if fine else 503,
        )

    async def ready(_: Request) -> Response:
        waiting = find_wait(intakes) or waits()
        partitions = sorted(tp.partition for tp in intakes[0].owned)
        return JSONResponse(
            {"ready": not waiting, "waiting_for": waiting, "partitions": partitions, "warnings": [*warnings]},
            status_code=503 if waiting else 200,
        )

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/live", live), Route("/ready", ready), Route("/metrics", metrics)])


def longest_turn_s(settings: Settings) -> float:
    """Returns the longest that a turn may take: a lane that is silent for longer is stuck.

    A batch that hangs in the database comes back as DatabaseUnavailable after the time limit of a statement. Its dead
    letters may take DEAD_LETTERS_S before.
    """
    return DEAD_LETTERS_S + STATEMENTS_OF_A_BATCH * settings.database_timeout_s
