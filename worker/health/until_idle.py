"""Stops the worker of `worker --until-idle` when everything is done that was there at its start."""

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
    """Ends the process, as SIGTERM would, once everything is done that was in the log when it started.

    That is: the stored offsets have reached the ends that the logs had then, whichever worker moved them, and nothing
    of these partitions is left in the outbox. Crashes the worker when a breaker opens, because it would never be idle.
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
