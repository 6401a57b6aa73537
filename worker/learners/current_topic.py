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
    """Asks Kafka for the id of a topic, at most every ASK_EVERY_S. Of any number of tasks one asks for all."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._id: UUID | None = None
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def read_id(self, client: AIOKafkaClient | None) -> UUID | None:
        """Returns the id, up to ASK_EVERY_S old; the last known one while Kafka is away. None: not known.

        It waits up to LONGEST_ANSWER_S for Kafka's answer.
        """
        async with self._asking:  # the others wait: without an id, or with an old one, they would compare wrongly
            began = time.monotonic()
            if client is not None and began - self._asked_at >= ASK_EVERY_S:
                try:
                    async with asyncio.timeout(LONGEST_ANSWER_S):
                        self._id = await fetch_topic_id(client, self._topic)
                except (KafkaError, TimeoutError):
                    pass  # it is asked again later, because each question may take LONGEST_ANSWER_S
                self._asked_at = began
        return self._id
