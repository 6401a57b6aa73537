"""Performs the effects that are due, one transaction each. Any number of processes may do so at once."""

import asyncio
import time
import traceback
from collections.abc import Mapping
from typing import Any

import asyncpg
import structlog
from mode import Service

from worker.errors import DatabaseUnavailable, ProgressError, Unavailable, ValueRefused
from worker.metrics import effects as metrics
from worker.nudge import Nudge
from worker.postgres.connection import close, connect, query
from worker.postgres.failures import translate_errors
from worker.settings import Settings
from worker.stream.effect import Later, Perform, Planned

log = structlog.get_logger("effects")

LOOK_EVERY_S = 1.0
FIRST_BACK_OFF_S = 1.0
LONGEST_BACK_OFF_S = 600.0
STOP_WITHIN_S = 5.0
REPORT_EVERY_S = 10.0
COUNT_UP_TO = 10_000


class Performer(Service):
    """Claims effects with `for update skip locked`, performs them, and deletes their rows with the same commit.

    A process that is killed meanwhile has done nothing, and another one claims the effect again. `waiting_for` says why
    nothing at all can be performed; None: nothing is known to be in the way.
    """

    def __init__(self, settings: Settings, performs: Mapping[str, Perform], at_once: int, **service: Any) -> None:
        super().__init__(**service)
        self._settings = settings
        self._performs = performs
        self._at_once = at_once
        self._nudge = Nudge()
        self._running: set[asyncio.Future[None]] = set()
        self._reported_at = 0.0
        self.waiting_for: str | None = None

    @property
    def dead(self) -> bool:
        """Says whether a task has ended while the service runs."""
        return any(task.done() for task in self._running)

    def nudge(self) -> None:
        """Looks at once, because something was planned."""
        self._nudge.give()

    async def on_started(self) -> None:
        self._running = {self.add_future(self._run()) for _ in range(self._at_once)}

    async def on_stop(self) -> None:
        """Lets the effects in hand finish, for at most STOP_WITHIN_S; another process claims those that did not."""
        self.nudge()
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_WITHIN_S)

    async def _run(self) -> None:
        connection: asyncpg.Connection | None = None
        failures = 0
        try:
            while not self.should_stop:
                try:
                    if connection is None or connection.is_closed():
                        connection = await connect(self._settings)
                    await self._report_waiting(connection)
                    found = await self.perform_next(connection)
                    self.waiting_for, failures = None, 0
                except Unavailable as error:
                    log.warning("effects wait", error=str(error))
                    self.waiting_for, found, failures = str(error), False, failures + 1
                if not found:
                    await self._nudge.pause(min(LOOK_EVERY_S * 2**failures, 30))
        finally:
            if connection is not None:
                await close(connection)

    async def _report_waiting(self, connection: asyncpg.Connection) -> None:
        """Reports every few seconds how many effects have failed and wait."""
        if time.monotonic() - self._reported_at < REPORT_EVERY_S:
            return
        self._reported_at = time.monotonic()
        with translate_errors(connection):
            for row in await connection.fetch(query("effects/count_waiting"), [*self._performs], COUNT_UP_TO):
                metrics.WAITING.labels(row["kind"]).set(row["waiting"])

    async def perform_next(self, connection: asyncpg.Connection) -> bool:
        """Performs one effect that is due. Returns whether there was one. Raises Unavailable."""
        with translate_errors(connection):
            async with connection.transaction():
                row = await connection.fetchrow(query("effects/claim"), [*self._performs])
                if row is None:
                    return False
                kind, planned = row["kind"], Planned(*row[1:])
                later = await self._perform(connection, kind, planned)
                await self._settle(connection, kind, planned, later)
        metrics.count(kind, later is None or later.reason is None)
        return True

    async def _perform(self, connection: asyncpg.Connection, kind: str, planned: Planned) -> Later | None:
        """Performs it in a savepoint: what fails leaves nothing behind but its reason, and holds up no other.

        Raises DatabaseUnavailable where the connection was lost.
        """
        try:
            async with connection.transaction():
                return await self._performs[kind](connection, planned)
        except Exception as error:
            if connection.is_closed():
                raise DatabaseUnavailable("the connection to PostgreSQL was lost") from error
            reason = explain(error)
            if reason is None:
                return self._report_bug(kind, error)
            log.warning("an effect waits", kind=kind, reason=reason)
            return Later(reason)

    def _report_bug(self, kind: str, error: BaseException) -> Later:
        """Logs where a bug is. Its own text may quote a learner's name, so nobody gets to see it."""
        frames = traceback.extract_tb(error.__traceback__)
        name, where = type(error).__name__, next((f for f in reversed(frames) if "worker" in f.filename), frames[-1])
        log.error(
            "an effect cannot be performed: this is a bug", kind=kind, error=name, at=f"{where.filename}:{where.lineno}"
        )
        return Later(f"bug: {name}")

    async def _settle(self, connection: asyncpg.Connection, kind: str, planned: Planned, later: Later | None) -> None:
        if later is None:
            await connection.execute("delete from effect where kind = $1 and key = $2", kind, planned.key)
            return
        await connection.execute(
            query("effects/postpone"),
            kind,
            planned.key,
            later.at,
            min(FIRST_BACK_OFF_S * 2**planned.attempts, LONGEST_BACK_OFF_S),
            later.reason,
            0 if later.reason is None else min(planned.attempts + 1, 30),
        )


def explain(error: Exception) -> str | None:
    """Returns in one line what keeps an effect from being performed. None: a bug."""
    if isinstance(error, TimeoutError):
        return "what it needs did not answer in time"
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}"
    try:
        with translate_errors():
            raise error
    except ValueRefused:
        return None
    except ProgressError as known:
        return str(known)
    except Exception:  # noqa: BLE001 -- whatever else it is
        return None
