"""The relay: what the transaction put into the outbox goes to course-events, in order, and is deleted."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import structlog
from aiokafka import TopicPartition
from mode import Service
from pydantic import ValidationError

from events.envelope import binary
from events.models import COURSE_EVENTS
from events.producer import OutgoingRecord, Producer, PublishFailed
from worker.errors import SetupError, Unavailable
from worker.kafka.failures import explain
from worker.metrics import prometheus as metrics
from worker.postgres.connection import close, connect, query
from worker.postgres.failures import translate_errors
from worker.settings import Settings

log = structlog.get_logger("outbox")

SOURCE = "course-progress"
ROUND = 500  # rows of a partition
RELAY_EVERY_S = 1.0
MEASURE_EVERY_S = 5.0
COUNT_UP_TO = 100_000
SILENCE_S = 30


class Relay(Service):
    """Publishes the outbox rows of the partitions this worker owns: at least once, each user's in order.

    A session-level advisory lock per partition makes certain that one worker relays it. The server ends a session
    that is silent for SILENCE_S, so a worker that is stopped or cut off does not keep its locks.
    """

    def __init__(
        self, settings: Settings, producer: Producer, owned: Callable[[], set[TopicPartition]], **service: Any
    ) -> None:
        super().__init__(**service)
        self._settings = settings
        self._producer = producer
        self._owned = owned
        self._nudged = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self._locked: set[TopicPartition] = set()
        self._running: asyncio.Future[None] | None = None
        self._measured_at = 0.0

    @property
    def dead(self) -> bool:
        """Whether the relaying has ended, and nothing else has."""
        return self._running is not None and self._running.done()

    def nudge(self) -> None:
        """Something was put into the outbox."""
        self._nudged.set()

    async def on_started(self) -> None:
        self._running = self.add_future(self._run())

    async def on_stop(self) -> None:
        """One last round, bounded; whoever owns the partitions next publishes what is left."""
        self.nudge()
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=10)
        if self._connection is not None:
            await close(self._connection)

    async def _run(self) -> None:
        failures = 0
        while not self.should_stop:
            await self._pause(RELAY_EVERY_S * min(2**failures, 30) if failures else RELAY_EVERY_S)
            failures = 0 if await self._round() else failures + 1

    async def _pause(self, longest_s: float) -> None:
        try:
            async with asyncio.timeout(longest_s):
                await self._nudged.wait()
        except TimeoutError:
            pass
        self._nudged.clear()

    async def _round(self) -> bool:
        """Publishes what is there; whether that worked."""
        try:
            connection = await self._connected()
            await self._lock(connection)
            await self._measure(connection)
            while await self._publish_some(connection):
                await self._measure(connection)
        except Unavailable as error:
            log.warning("the outbox waits", error=str(error))
            metrics.RELAY_FAILURES.inc()
            return False
        return True

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._locked.clear()
            self._connection = await connect(self._settings, idle_session_timeout=f"{SILENCE_S}s")
        return self._connection

    async def _lock(self, connection: asyncpg.Connection) -> None:
        """Takes the locks of partitions that came, and releases those of partitions that went."""
        owned = self._owned()
        with translate_errors(connection):
            if self._locked - owned:
                await connection.execute(query("outbox/unlock_partitions"), *self._keys(self._locked - owned))
                self._locked &= owned
            if owned - self._locked:
                got = await connection.fetch(query("outbox/lock_partitions"), *self._keys(owned - self._locked))
                self._locked |= {TopicPartition(row["topic"], row["partition"]) for row in got}

    async def _measure(self, connection: asyncpg.Connection) -> None:
        """Tells how much waits, every few seconds; of all partitions, so that what nobody relays is seen."""
        if time.monotonic() - self._measured_at < MEASURE_EVERY_S:
            return
        self._measured_at = time.monotonic()
        with translate_errors(connection):
            rows = await connection.fetch(query("outbox/depth"), *self._keys(self._locked), COUNT_UP_TO)
        for row in rows:
            metrics.report_outbox(row["whose"], row["rows"], row["oldest_s"])

    def _keys(self, partitions: set[TopicPartition]) -> tuple[list[str], list[int]]:
        return [tp.topic for tp in partitions], [tp.partition for tp in partitions]

    async def _publish_some(self, connection: asyncpg.Connection) -> bool:
        """One round trip of rows; whether there may be more. Deletes a row only when Kafka has acknowledged it."""
        with translate_errors(connection):
            rows = await connection.fetch(query("outbox/next_rows"), *self._keys(self._locked), ROUND)
        if not rows:
            return False
        try:
            await self._producer.send_all([self._record(row) for row in rows])
        except PublishFailed as error:
            raise explain("course events cannot be published", error) from error
        with translate_errors(connection):
            await connection.execute("delete from outbox where seq = any($1)", [row["seq"] for row in rows])
        metrics.RELAYED.inc(len(rows))
        return len(rows) >= ROUND

    def _record(self, row: asyncpg.Record) -> OutgoingRecord:
        try:
            event = COURSE_EVENTS[row["type"]].model_validate_json(row["payload"])
        except (KeyError, ValidationError) as error:
            where = f"{row['source_topic']}[{row['source_partition']}]"
            raise SetupError(
                f"row seq {row['seq']} of the outbox, caused by {where}, is no course event that this version knows "
                f"({type(error).__name__}, type {row['type']}): run the version that wrote it, or look at the row. "
                "What follows it in the partition waits"
            ) from error
        headers, value = binary(event, id=str(row["id"]), time=row["occurred_at"], source=SOURCE)
        return OutgoingRecord(self._settings.course_events_topic, row["aggregateid"].encode(), value, headers)
