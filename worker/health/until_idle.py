"""Stops a worker that runs with `--until-idle` when the records that were there at its start are applied."""

import os
import signal
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition
from mode import Service

from worker.errors import Unavailable
from worker.intake.intake import Intake
from worker.postgres.connection import query
from worker.postgres.pool import connect_pool
from worker.settings import Settings

CHECK_IDLE_EVERY_S = 0.1


class UntilIdle(Service):
    """Sends this process SIGTERM once the stored offsets have reached the logs' ends as of the start.

    Any worker may have applied the records. No row of these partitions may be left in the outbox. Crashes the worker
    when a breaker opens, because the worker would never be idle.
    """

    def __init__(self, settings: Settings, intakes: Sequence[Intake], **service: Any) -> None:
        super().__init__(**service)
        self._settings = settings
        self._intakes = intakes

    async def on_start(self) -> None:
        self._pool = await connect_pool(self._settings)

    async def on_started(self) -> None:
        self.add_future(self._watch())

    async def on_shutdown(self) -> None:
        await self._pool.close()

    async def _watch(self) -> None:
        goals = [(intake.stream.group, await intake.ends()) for intake in self._intakes]
        while not self.should_stop:
            if all([await self._is_done(group, ends) for group, ends in goals]):
                os.kill(os.getpid(), signal.SIGTERM)
                return
            for intake in self._intakes:
                if intake.breaker_open:
                    raise intake.breaker_open
            await self.sleep(CHECK_IDLE_EVERY_S)

    async def _is_done(self, group: str, ends: dict[TopicPartition, int]) -> bool:
        topics, partitions = [tp.topic for tp in ends], [tp.partition for tp in ends]
        try:
            [row] = await self._pool.fetch(query("health/until_idle"), group, topics, partitions, list(ends.values()))
        except Unavailable:
            return False
        return bool(row[0])
