"""Runs one worker in this process until a signal stops it, or it cannot go on."""

import asyncio
import itertools
import os
import signal

import faust
import structlog
import uvloop

from worker.agents import AgentApp
from worker.effects.settings import EffectsSettings
from worker.errors import ProgressError, SetupError
from worker.gc_tuning import collect_rarely
from worker.health.until_idle import UntilIdle
from worker.logs import configure
from worker.prepare import prepare
from worker.settings import Settings

log = structlog.get_logger("run")

STOP_WITHIN_S = 18.0
ONE_SIGNAL_S = 0.5  # a terminal or a wrapper may send the same signal twice
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Process(faust.Worker):
    """Runs the app, and sees that a stop ends: each step has its time, and the whole has STOP_WITHIN_S."""

    async def stop(self) -> None:
        """Stops the app. A second signal ends the process at once, with the status of a shell: 130 or 143.

        The first is the one that asked for this stop, unless the app stops by itself. Whatever is cut off is safe,
        because a batch is applied with its offsets or not at all.
        """
        loop = asyncio.get_running_loop()
        loop.call_later(ONE_SIGNAL_S, self._end_at_next_signal, loop)
        loop.call_later(STOP_WITHIN_S, end_now, f"it did not stop within {STOP_WITHIN_S:g} s", 1)
        await super().stop()

    async def _sentinel_task(self) -> None:
        """Lets the loop turn once more before mode closes it; mode itself waits a second here, for nothing."""
        await asyncio.sleep(0)

    def _end_at_next_signal(self, loop: asyncio.AbstractEventLoop) -> None:
        signals = itertools.count(1 if self._signal_stop_time else 0)

        def count_signal(number: signal.Signals) -> None:
            if next(signals):
                end_now(f"a second signal, {number.name}", 128 + number)
            log.warning("the worker is stopping already; another signal ends it at once", signal=number.name)

        for number in SIGNALS:
            loop.add_signal_handler(number, count_signal, number)


def end_now(reason: str, status: int) -> None:
    """Ends this process without any step of a stop, and says why: a restart loses nothing."""
    log.critical("the worker ends at once", reason=f"{reason}; what was in flight is left to the next worker")
    os._exit(status)


def run(settings: Settings, *, until_idle: bool = False) -> int:
    """Runs a worker, and returns the exit status.

    0: it stopped after SIGTERM, SIGINT or, with `until_idle`, because nothing was left to do. 1: it could not go on,
    or not stop in time, and its last log line says why.
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


def run_effects(settings: EffectsSettings) -> int:
    """Runs `course-progress effects`, and returns the exit status, as `run`."""
    configure(settings)
    if settings.environment != "production":
        asyncio.run(prepare(settings))
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        from worker.effects.app import Effects  # belongs to this loop
    except ModuleNotFoundError as error:
        raise SetupError(f"{error.name} is not installed: pip install 'course-progress[certificates]'") from error
    return run_app(Effects(settings), settings, loop)


def run_app(app: AgentApp, settings: Settings, loop: asyncio.AbstractEventLoop) -> int:
    """Runs an app on the loop that it belongs to. Returns the exit status, as `run`."""
    collect_rarely()
    process = Process(app, loop=loop, loglevel=settings.log_level, quiet=True)
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
