"""Keeps the id of the topic that a website publishes to: one that was created again is another topic."""

import asyncio
import time
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from worker.kafka.topic_id import fetch_topic_id

ASK_EVERY_S = 3.0
LONGEST_ANSWER_S = 1.0


class CurrentTopic:
    """Asks Kafka for the id of a topic, at most every ASK_EVERY_S."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._id: UUID | None = None
        self._ask_at = 0.0
        self._asking = asyncio.Lock()

    async def read_id(self, client: AIOKafkaClient | None) -> UUID | None:
        """Returns the id, up to ASK_EVERY_S old; the last known one while Kafka is away. None: not known.

        Returns within LONGEST_ANSWER_S.
        """
        if client is not None and time.monotonic() >= self._ask_at and not self._asking.locked():
            async with self._asking:
                self._ask_at = time.monotonic() + ASK_EVERY_S
                try:
                    async with asyncio.timeout(LONGEST_ANSWER_S):
                        self._id = await fetch_topic_id(client, self._topic)
                except (KafkaError, TimeoutError):
                    self._ask_at = 0.0
        return self._id
