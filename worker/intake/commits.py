"""Commits applied offsets to Kafka, for lag tools and autoscalers.

A worker that is given a partition compares them with the stored ones: ahead of these, PostgreSQL has lost commits.
"""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from worker.intake.log_watch import LONGEST_ANSWER_S
from worker.metrics import prometheus as metrics
from worker.stream.sink import Spans


class Commits:
    """Keeps the offsets that are stored in PostgreSQL and not committed to Kafka yet."""

    def __init__(self) -> None:
        self._offsets: dict[TopicPartition, int] = {}

    def note(self, spans: Spans) -> None:
        """Notes the offsets of a batch that is applied."""
        self._offsets.update({tp: span.next for tp, span in spans.items()})

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Forgets what is not committed of these partitions."""
        for tp in partitions:
            self._offsets.pop(tp, None)

    def clear(self) -> None:
        """Forgets what is not committed: the partitions are being shared again."""
        self._offsets.clear()

    async def send(self, consumer: AIOKafkaConsumer) -> None:
        """Commits the offsets of the partitions that the consumer has. Counts a failure and keeps them for later."""
        mine = consumer.assignment()
        offsets = {tp: offset for tp, offset in self._offsets.items() if tp in mine}
        if not offsets:
            return
        try:
            async with asyncio.timeout(LONGEST_ANSWER_S):
                await consumer.commit(offsets)
        except (KafkaError, TimeoutError):
            metrics.COMMIT_FAILURES.inc()
            return
        for tp, offset in offsets.items():
            if self._offsets.get(tp) == offset:
                del self._offsets[tp]
