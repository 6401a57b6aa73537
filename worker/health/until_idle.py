"""Stops a worker that runs with `--until-idle` when the records that were there at its start are applied."""

import os
import signal
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from mode import Service

from worker.errors import Unavailable
from worker.intake.intake import Intake
from worker.kafka.failures import explain_consumer_error
from worker.postgres.connection import query
from worker.postgres.pool import connect_pool
from worker.settings import Settings
from worker.stream.stream import Stream

CHECK_IDLE_EVERY_S = 0.1


class UntilIdle(Service):
    """Sends this process SIGTERM once the stored offsets have reached the logs' ends as of the start.

    Any worker may have applied the records. No row of these partitions may be left in the outbox. Stored offsets of a
    deleted topic do not count in the one that has its name (topic_identity.py stops the worker then). Crashes the
    worker when a breaker opens, because it would never be idle.
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
        goals = [await self._find_goal(intake) for intake in self._intakes]
        while not self.should_stop:
            if all([await self._is_done(*goal) for goal in goals]):
                os.kill(os.getpid(), signal.SIGTERM)
                return
            for intake in self._intakes:
                if intake.breaker_open:
                    raise intake.breaker_open
            await self.sleep(CHECK_IDLE_EVERY_S)

    async def _find_goal(self, intake: Intake) -> tuple[Stream, UUID | None, dict[TopicPartition, int]]:
        """Asks for the topic's id and the log's ends, again where Kafka closes the connection, as an old token's.

        Raises SetupError for an error that does not pass by itself.
        """
        while True:
            try:
                return intake.stream, await intake.topic_id(), await intake.ends()
            except KafkaError as error:
                meaning = explain_consumer_error(error, self._settings)
                if not isinstance(meaning, Unavailable):
                    raise meaning from error
                await self.sleep(CHECK_IDLE_EVERY_S)

    async def _is_done(self, stream: Stream, topic_id: UUID | None, ends: dict[TopicPartition, int]) -> bool:
        partitions, offsets = [tp.partition for tp in ends], list(ends.values())
        question = query("health/until_idle")
        try:
            [row] = await self._pool.fetch(question, stream.group, stream.topic, topic_id, partitions, offsets)
        except Unavailable:
            return False
        return bool(row[0])
