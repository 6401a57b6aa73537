"""Writes this worker's status to `worker_status`, because the Operations page cannot ask it (docs/decisions/0020)."""

import asyncio
import json
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, astuple
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import asyncpg
import structlog
from mode import Service

from worker.errors import ProgressError, Unavailable
from worker.health.waiting import find_wait
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
    """Writes this worker's row every WRITE_EVERY_S, on a connection of its own, and deletes it at a clean stop.

    The data path never waits for it. While the database is away it writes nothing, and tries again.
    """

    def __init__(self, settings: Settings, intakes: Sequence[Intake], **service: Any) -> None:
        super().__init__(**service)
        self._settings = with_time_limit(settings, LONGEST_S)
        self._intakes = intakes
        self._worker = settings.worker_name
        self._runs_as = (socket.gethostname(), version("course-progress"))
        self._started_at = datetime.now(UTC)
        self._connection: asyncpg.Connection | None = None
        self._problem = ""

    @Service.task
    async def _write_periodically(self) -> None:
        while not self.should_stop:
            await self._run("health/write_heartbeat", *self._build_row(), FORGOTTEN_AFTER_S)
            await self.sleep(WRITE_EVERY_S)

    async def on_shutdown(self) -> None:
        """Deletes the row. mode calls this after the task has ended, so that the task cannot write the row again."""
        await self._run("health/delete_heartbeat", self._settings.consumer_group, self._worker)
        if self._connection is not None:
            await close(self._connection)

    def _build_row(self) -> tuple[Any, ...]:
        throughput = metrics.THROUGHPUT.summary(time.monotonic())
        disagreeing = metrics.DISAGREEING_TOTALS.list_latest(datetime.now(UTC))
        breaker = next((intake.breaker_open for intake in self._intakes if intake.breaker_open), None)
        return (
            self._settings.consumer_group,
            self._worker,
            *self._runs_as,
            self._started_at,
            sorted(tp.partition for tp in self._intakes[0].owned),
            *astuple(throughput),
            str(breaker) if breaker else None,
            find_wait(self._intakes),
            json.dumps([asdict(found) for found in disagreeing], default=str),
        )

    async def _run(self, statement: str, *arguments: Any) -> None:
        """Runs the statement if the database answers. A lasting problem is logged once, and never stops the worker."""
        try:
            async with asyncio.timeout(LONGEST_S):
                connection = await self._ensure_connected()
                with translate_errors(connection):
                    await connection.execute(query(statement), *arguments)
            self._problem = ""
        except (Unavailable, TimeoutError):
            return
        except (ProgressError, asyncpg.PostgresError) as error:
            if str(error) != self._problem:
                log.warning("this worker's status cannot be written", error=str(error))
            self._problem = str(error)

    async def _ensure_connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            # The next heartbeat replaces a row that a crash of the server loses: no need to wait for the disk.
            self._connection = await connect(self._settings, synchronous_commit="off")
        return self._connection
