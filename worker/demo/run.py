"""Runs the demo: broker and database, a worker, effects, simulated learners, a subscriber, pages, and the picture."""

import asyncio
import logging.config
import math
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar
from uuid import uuid4

from rich.console import Console

from worker.demo.author import SECOND_AFTER_S, Author
from worker.demo.certificates import Certificates
from worker.demo.comparison import Report, build_uncompared_report, compare
from worker.demo.effects import find_obstacle, require_key
from worker.demo.observer import Observer
from worker.demo.parts import Parts
from worker.demo.player import Player
from worker.demo.traffic import Traffic
from worker.demo.view import View
from worker.demo.website import serve_website
from worker.demo.workers import Supervisor
from worker.devstack import Servers, servers
from worker.devstack.process import scratch_directory
from worker.errors import ProgressError, SetupError
from worker.logs import logging_config
from worker.plain_text import escape, to_json
from worker.prepare import prepare
from worker.settings import Settings

REFRESH_EVERY_S = 0.25
CATCH_UP_WITHIN_S = 120
FAREWELL_S = 3  # how long it catches up after Ctrl-C
DIFFERENCES_SHOWN = 20
Result = TypeVar("Result")


def run(*, learners: int, duration_s: float | None, as_json: bool) -> int:
    """Runs until `duration_s` is over and the result is compared, or until a signal. Returns the exit status."""
    if Settings().environment == "production":
        raise SetupError("the demo does not run where PROGRESS_ENVIRONMENT is production")
    print("starting a broker and a database", file=sys.stderr)
    with servers(allow_mock=True) as running, scratch_directory("demo") as directory:
        if "env" in (running.broker, running.database):
            print(f"broker: {running.broker}, database: {running.database} (env: the environment's)", file=sys.stderr)
        settings = build_settings(running)
        send_logs_to(directory / "log", settings)
        effects = choose_effects(running, directory)
        parts = assemble(settings, learners, directory, duration_s, effects)
        console = Console(stderr=as_json or not sys.stdout.isatty())
        live = console.file.isatty() and not console.is_dumb_terminal
        view = View(parts, f"broker: {running.broker}, database: {running.database}", console, live=live)
        view.exports = list_exports(running)
        report, differences = asyncio.run(Demo(settings, running.broker, parts, view, duration_s).run())
    if report is None:
        print("interrupted before the comparison", file=sys.stderr)
        return 130
    print(to_json(asdict(report)) if as_json else format_summary(report, differences))
    for difference in differences[:DIFFERENCES_SHOWN]:
        print(escape(str(difference)), file=sys.stderr)
    return 1 if differences else 0


def build_settings(running: Servers) -> Settings:
    """Builds the settings of this process, and puts them into the environment, from which its worker takes them."""
    os.environ.update(running.environment)
    os.environ.setdefault("PROGRESS_HTTP_PORT", "0")
    os.environ.setdefault("PROGRESS_RECOUNT_SHARE", "1")  # of few rows, which a visitor waits for
    # With a static id, a killed worker gets its partitions back at once instead of after the session timeout.
    os.environ.setdefault("PROGRESS_GROUP_INSTANCE_ID", f"demo-{uuid4().hex[:8]}")
    return Settings()


def list_exports(running: Servers) -> list[str]:
    """Lists what another terminal runs so that its commands reach the demo's own servers; nothing of anybody else's."""
    if "env" in (running.broker, running.database):
        return []
    return [f"export {name}={value}" for name, value in running.environment.items()]


def send_logs_to(path: Path, settings: Settings) -> None:
    """Sends this process's log to a file, so that no line gets into the picture."""
    config = logging_config(settings)
    config["handlers"]["stderr"] = {"class": "logging.FileHandler", "formatter": "one_line", "filename": path}
    logging.config.dictConfig(config)


def choose_effects(running: Servers, directory: Path) -> Supervisor | None:
    """Prepares the process that issues certificates; where there is an obstacle, says so in one line."""
    if obstacle := find_obstacle(running.database):
        print(obstacle, file=sys.stderr)
        return None
    require_key(directory)
    return Supervisor(directory, "effects")


def assemble(
    settings: Settings,
    learners: int,
    directory: Path,
    duration_s: float | None = None,
    effects: Supervisor | None = None,
) -> Parts:
    """Builds the parts, which are not running yet. With a duration they keep everything for the comparison."""
    remember = duration_s is not None
    author = Author(min(SECOND_AFTER_S, (duration_s or math.inf) / 2))
    player = Player(learners, SystemRandom().getrandbits(64), datetime.now(UTC))
    certificates = Certificates(settings, remember=remember)
    return Parts(
        observer=Observer(settings, certificates, remember=remember),
        certificates=certificates,
        supervisor=Supervisor(directory),
        traffic=Traffic(settings, player, author, remember=remember),
        effects=effects,
    )


class Demo:
    """Runs the assembled parts, and stops them in order, also after an error."""

    def __init__(self, settings: Settings, broker: str, parts: Parts, view: View, duration_s: float | None) -> None:
        self._settings = settings
        self._broker = broker
        self._parts = parts
        self._view = view
        self._duration_s = duration_s
        self._started_at = time.monotonic()

    async def run(self) -> tuple[Report | None, list[str]]:
        """Runs the demo; returns the report and the differences, and no report if a signal came before comparing."""
        signalled = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, signalled.set)
        await prepare(self._settings)
        self._started_at = time.monotonic()
        async with AsyncExitStack() as started:
            await started.enter_async_context(self._parts.observer)
            parts = [
                await started.enter_async_context(run_task(part.run()))
                for part in (self._parts.certificates, self._parts.supervisor, self._parts.traffic)
            ]
            learners = self._parts.traffic.player.learners
            site = await started.enter_async_context(serve_website(self._settings, learners))
            self._view.address = site.address
            if self._parts.effects:  # after the website, whose address certificates bear
                parts.append(await started.enter_async_context(run_task(self._parts.effects.run())))
            started.enter_context(self._view)
            course = await started.enter_async_context(run_task(self._play(parts[2], signalled)))
            interruption = await started.enter_async_context(run_task(signalled.wait()))
            await wait_for_first({course, interruption} if self._duration_s else {course}, watched=[*parts, site.task])
            return course.result() if course.done() else (None, [])

    async def _play(self, traffic: asyncio.Task[None], signalled: asyncio.Event) -> tuple[Report, list[str]]:
        """Publishes for the duration, lets the worker catch up, and compares.

        Without a duration, it publishes until the signal, and does not compare.
        """
        ends_at = self._started_at + (self._duration_s or math.inf)
        await self._look_until(lambda: time.monotonic() >= ends_at or signalled.is_set())
        self._parts.traffic.stop()
        self._view.phase = "catching up"
        deadline_s = CATCH_UP_WITHIN_S if self._duration_s else FAREWELL_S
        try:
            async with asyncio.timeout(deadline_s):
                await self._look_until(traffic.done)
                await self._look_until(lambda: self._parts.observer.caught_up)
        except TimeoutError:
            if self._duration_s:
                raise ProgressError(f"not caught up within {deadline_s} s: {self._view.line}") from None
        seconds = round(time.monotonic() - self._started_at)
        if self._duration_s:
            return await compare(self._settings, self._parts, seconds, self._broker)
        return build_uncompared_report(self._parts, seconds, self._broker), []

    async def _look_until(self, done: Callable[[], bool]) -> None:
        """Looks again and again until `done()`; keeps drawing, also while a server keeps a look waiting."""
        while True:
            async with run_task(self._parts.observer.look(self._view.learners)) as look:
                while not look.done():
                    await asyncio.wait({look}, timeout=REFRESH_EVERY_S)
                    self._view.show()
            look.result()
            if done():
                return
            await asyncio.sleep(REFRESH_EVERY_S)


@asynccontextmanager
async def run_task(work: Coroutine[Any, Any, Result]) -> AsyncIterator[asyncio.Task[Result]]:
    """Runs a task for the time of the block; the task has ended when the block has."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def wait_for_first(ends: set[asyncio.Task[Any]], watched: list[asyncio.Task[None]]) -> None:
    """Waits for one of the ends. Raises at once if any of the tasks raises."""
    pending = {*ends, *watched}
    while not any(task.done() for task in ends):
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


def format_summary(report: Report, differences: list[str]) -> str:
    counted = (
        f"{report.published:,} events published in {report.seconds} s, {report.applied:,} applied, "
        f"{report.rejected:,} dead letters, {report.course_completed_received:,} completions received"
    )
    if report.wrong_rows is None:
        waiting = report.published - report.applied - report.rejected
        return f"{counted}; {waiting:,} were still waiting" if waiting > 0 else counted
    return f"{counted}; {len(differences):,} differences from the model in {report.progress_rows:,} progress rows"
