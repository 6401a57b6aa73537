"""Publishes events at a steady rate for as long as a measurement takes, and tells how long any of them waits."""

import asyncio
import random
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice

import asyncpg
from confluent_kafka import KafkaError, KafkaException, Message

from tests.bench.bench import Record, librdkafka, records
from tests.bench.learners import Rows, even, in_time
from worker.settings import Settings

TURN_S = 0.01
LOOK_EVERY_S = 0.02


class Load:
    """Publishes `rate` events per second, and more at once if asked; keeps when Kafka stored what is not applied."""

    def __init__(self, settings: Settings, rows: Rows, rate: float) -> None:
        self.rate = rate
        self._settings = settings
        self._records: Iterator[Record] = records(in_time(even(rows, random.Random(1))))
        self._stored: dict[int, deque[tuple[int, float]]] = defaultdict(deque)
        self._extra = 0
        self._published = self._acknowledged = self._last_extra = 0

    def add_at_once(self, events: int) -> None:
        """Has this many events more published as fast as it goes."""
        self._extra += events

    @property
    def is_stored(self) -> bool:
        """Tells whether Kafka has all that was to be published at once."""
        return not self._extra and self._last_extra <= self._acknowledged

    @property
    def waiting(self) -> int:
        """Returns how many events are stored and were not applied at the last `look`."""
        return sum(map(len, self._stored.values()))

    def look(self, applied: dict[int, int]) -> dict[int, float]:
        """Returns for how many seconds the oldest event of each partition has waited, given what is applied."""
        now = time.monotonic()
        for partition, stored in self._stored.items():
            while stored and stored[0][0] < applied.get(partition, 0):
                stored.popleft()
        return {partition: now - stored[0][1] if stored else 0.0 for partition, stored in self._stored.items()}

    async def run(self) -> None:
        """Publishes until it is cancelled. Raises KafkaException when Kafka refuses an event."""
        producer = librdkafka(self._settings, {"enable.idempotence": True, "linger.ms": 2})
        began, on_time = time.monotonic(), 0
        try:
            while True:
                due = int((time.monotonic() - began) * self.rate) - on_time
                on_time += due
                extra, self._extra = min(self._extra, 2000), max(0, self._extra - 2000)
                for record in islice(self._records, due + extra):
                    record.produce(producer, self._settings.lesson_events_topic, self._note)
                self._published += due + extra
                self._last_extra = self._published if extra else self._last_extra
                producer.poll(0)
                await asyncio.sleep(0 if extra else TURN_S)
        finally:
            producer.flush(1)

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            raise KafkaException(error)
        self._acknowledged += 1
        if (offset := message.offset()) is not None:  # unknown where the first answer was lost, and it was sent again
            self._stored[message.partition()].append((offset, time.monotonic()))


@asynccontextmanager
async def under_load(settings: Settings, rows: Rows, rate: float) -> AsyncIterator[Load]:
    """Publishes until the end of the block."""
    load = Load(settings, rows, rate)
    running = asyncio.create_task(load.run(), name="load")
    try:
        yield load
    finally:
        running.cancel()
        await asyncio.wait({running})


async def read_applied(connection: asyncpg.Connection, settings: Settings) -> dict[int, int]:
    """Reads the stored offset of each partition of lesson events."""
    rows = await connection.fetch(
        "select partition, next_offset from consumed_offset where consumer_group = $1 and topic = $2",
        settings.consumer_group,
        settings.lesson_events_topic,
    )
    return {row["partition"]: row["next_offset"] for row in rows}
