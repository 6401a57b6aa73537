"""Asks every second where the log ends: so the lag is known, also of paused partitions, and whether Kafka answers."""

import asyncio
import time

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from worker.intake.lag import Lag
from worker.kafka.failures import explain_consumer_error
from worker.metrics import prometheus as metrics
from worker.settings import Settings
from worker.stream.stream import Stream

log = structlog.get_logger("kafka")

LONGEST_ANSWER_S = 3.0


class LogWatch:
    """Keeps the lag of the partitions owned, and `away`: why Kafka counts as away, or None."""

    def __init__(self, settings: Settings, stream: Stream) -> None:
        self._settings = settings
        self._stream = stream
        self.lag = Lag()
        self.away: str | None = None

    async def poll(self, consumer: AIOKafkaConsumer) -> None:
        """Asks once, and reports the lag. Returns within LONGEST_ANSWER_S, also when Kafka is silent."""
        # Without partitions of our own the first one's end says whether Kafka answers.
        partitions = consumer.assignment() or {TopicPartition(self._stream.topic, 0)}
        try:
            async with asyncio.timeout(LONGEST_ANSWER_S):
                ends = await consumer.end_offsets(partitions)
        except (KafkaError, TimeoutError) as error:
            self.note_kafka(str(explain_consumer_error(error, self._settings)))
        else:
            self.note_kafka(None)
            self.lag.note_ends(ends, time.time())
        metrics.report_lag(self._stream.group, self._stream.topic, self.lag.measure(time.time()))

    def note_kafka(self, away: str | None) -> None:
        """Notes why Kafka is away, or None when it answers; logs the change from one to the other."""
        if away and not self.away:
            log.warning("waiting for Kafka", error=away)
        if self.away and not away:
            log.info("Kafka answers again")
        self.away = away
