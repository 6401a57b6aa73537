"""What this worker says of itself in `worker_status`: an Operations page cannot look into it (docs/decisions/0020)."""

import asyncio
import socket
import time
from dataclasses import astuple
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import asyncpg
import structlog
from mode import Service

from worker.errors import ProgressError, Unavailable
from worker.intake.intake import Intake
from worker.metrics import prometheus as metrics
from worker.postgres.connection import close, connect, query, with_time_limit
from worker.postgres.failures import translate_errors
from worker.settings import Settings

log = structlog.get_logger("status")

WRITE_EVERY_S = 2.0
LONGEST_S = 3.0
FORGOTTEN_AFTER_S = 24 * 60 * 60


class Heartbeat(Service):
    """Writes this worker's row every TELL_EVERY_S, on a connection of its own, and deletes it at a clean stop.

    The data path never waits for it. While the database is away it says nothing, and tries again.
    """

    def __init__(self, settings: Settings, intake: Intake, **service: Any) -> None:
        super().__init__(**service)
        self._settings = with_time_limit(settings, LONGEST_S)
        self._intake = intake
        self._worker = settings.worker_name
        self._runs_as = (socket.gethostname(), version("course-progress"))
        self._started_at = datetime.now(UTC)
        self._connection: asyncpg.Connection | None = None
        self._problem = ""

    @Service.task
    async def _tell(self) -> None:
        while not self.should_stop:
            await self._run("health/write_heartbeat", *self._row(), FORGOTTEN_AFTER_S)
            await self.sleep(WRITE_EVERY_S)

    async def on_shutdown(self) -> None:
        """After its task has ended: one that still told would bring the row back."""
        await self._run("health/delete_heartbeat", self._settings.consumer_group, self._worker)
        if self._connection is not None:
            await close(self._connection)

    def _row(self) -> tuple[Any, ...]:
        doing = metrics.THROUGHPUT.summary(time.monotonic())
        breaker = self._intake.breaker_open
        return (
            self._settings.consumer_group,
            self._worker,
            *self._runs_as,
            self._started_at,
            sorted(tp.partition for tp in self._intake.owned),
            *astuple(doing),
            str(breaker) if breaker else None,
            self._intake.waiting_for,
        )

    async def _run(self, statement: str, *arguments: Any) -> None:
        """Runs it if the database is there; a problem that stays is logged once, and stops nobody."""
        try:
            async with asyncio.timeout(2 * LONGEST_S):
                connection = await self._connected()
                with translate_errors(connection):
                    await connection.execute(query(statement), *arguments)
            self._problem = ""
        except (Unavailable, TimeoutError):
            return
        except (ProgressError, asyncpg.PostgresError) as error:
            if str(error) != self._problem:
                log.warning("this worker's status cannot be told", error=str(error))
            self._problem = str(error)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            # What is lost in a crash of the server is told anew in a moment: it need not wait for the disk.
            self._connection = await connect(self._settings, synchronous_commit="off")
        return self._connection
