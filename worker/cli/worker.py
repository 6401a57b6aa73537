"""Runs one worker in this process until a signal stops it, or it cannot go on."""

import asyncio

import faust
import structlog
import uvloop

from worker.agents import AgentApp
from worker.errors import ProgressError
from worker.gc_tuning import collect_rarely
from worker.health.until_idle import UntilIdle
from worker.logs import configure
from worker.prepare import prepare
from worker.settings import Settings

log = structlog.get_logger("run")


def run(settings: Settings, *, until_idle: bool = False) -> int:
    """Runs a worker, and returns the exit status.

    0: it stopped after SIGTERM, SIGINT or, with `until_idle`, because nothing was left to do. 1: it could not go on,
    and its last log line says why.
    """
    configure(settings)
    if settings.environment != "production":
        asyncio.run(prepare(settings))
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    from worker.app import app  # builds the worker, which belongs to this loop

    if until_idle:
        app.until_idle = UntilIdle(settings, app.intakes)
    return run_app(app, settings, loop)


def run_app(app: AgentApp, settings: Settings, loop: asyncio.AbstractEventLoop) -> int:
    """Runs an app on the loop that it belongs to. Returns the exit status, as `run`."""
    collect_rarely()
    process = faust.Worker(app, loop=loop, loglevel=settings.log_level, quiet=True)
    try:
        process.execute_from_commandline()
    except SystemExit as end:
        if not end.code:
            return 0
    reason = process.crash_reason or app.crash_reason
    log.critical("the worker stopped", reason=describe_stop(reason), error=type(reason).__name__)
    return 1


def describe_stop(reason: BaseException | None) -> str:
    """Says why the worker stopped and what to do. An exception that is not a ProgressError is a bug."""
    if isinstance(reason, ProgressError):
        return str(reason)
    return f"{reason!r}: this is a bug in the worker, report it with the traceback above; a restart loses nothing"
