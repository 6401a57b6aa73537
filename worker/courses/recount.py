"""Recounts the progress rows of a course after a version of it was published.

It takes the rows in chunks. A chunk, and how far the recount is, are written in one transaction, so a worker that is
killed leaves the rest to another. A batch of lesson events judges the rows that it touches by itself, so nobody is
missed and nobody waits.
"""

import asyncio
import time
from collections.abc import Callable

import asyncpg
import structlog
from aiokafka.partitioner import DefaultPartitioner
from mode import Service

from worker.errors import Unavailable
from worker.kafka.topics import fetch_partitions
from worker.metrics import prometheus as metrics
from worker.postgres.connection import close, connect, query
from worker.postgres.failures import translate_errors
from worker.settings import Settings

log = structlog.get_logger("recount")

CHUNK = 500  # progress rows
LOOK_EVERY_S = 1.0


class Recount(Service):
    """Recounts courses while the worker runs, at most `recount_share` of the time."""

    def __init__(self, settings: Settings, on_transitions: Callable[[], None], **service: object) -> None:
        super().__init__(**service)
        self._settings = settings
        self._on_transitions = on_transitions
        self._connection: asyncpg.Connection | None = None
        self._partitions: list[int] = []

    async def on_stop(self) -> None:
        if self._connection is not None:
            await close(self._connection)

    @Service.task
    async def _recount(self) -> None:
        while not self.should_stop:
            began = time.monotonic()
            try:
                worked = await self.recount_chunk()
            except Unavailable as error:
                log.warning("a recount waits", error=str(error))
                worked = False
            took = time.monotonic() - began
            await self.sleep(took * (1 / self._settings.recount_share - 1) if worked else LOOK_EVERY_S)
