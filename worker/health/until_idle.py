"""`worker --until-idle`: stops the worker when what was there at its start is done."""

import os
import signal
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
    """Ends the process, as SIGTERM would, once the stored offsets have reached the ends of the log as they were when
    it started, by whichever worker, and nothing of these partitions is left in the outbox. Crashes it when the breaker
    opens: it would never be idle."""

    def __init__(self, settings: Settings, intake: Intake, **service: Any) -> None:
        super().__init__(**service)
        self._settings = settings
        self._intake = intake

    async def on_start(self) -> None:
        self._pool = await connect_pool(self._settings)

    async def on_started(self) -> None:
        self.add_future(self._watch())

    async def on_shutdown(self) -> None:
        await self._pool.close()

    async def _watch(self) -> None:
        ends = await self._intake.ends()
        while not self.should_stop:
            if await self._done(ends):
                os.kill(os.getpid(), signal.SIGTERM)
                return
            if self._intake.breaker_open:
                raise self._intake.breaker_open
            await self.sleep(CHECK_IDLE_EVERY_S)

    async def _done(self, ends: dict[TopicPartition, int]) -> bool:
        topics, partitions = [tp.topic for tp in ends], [tp.partition for tp in ends]
        group = self._settings.consumer_group
        try:
            [row] = await self._pool.fetch(query("health/until_idle"), group, topics, partitions, list(ends.values()))
        except Unavailable:
            return False
        return bool(row[0])
