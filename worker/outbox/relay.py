"""Relays the outbox: publishes its rows to course-events, in order, and deletes them."""

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
from worker.nudge import Nudge
from worker.postgres.connection import close, connect, query
from worker.postgres.failures import translate_errors
from worker.settings import Settings

log = structlog.get_logger("outbox")

SOURCE = "course-progress"
ROUND_ROWS = 500  # of each partition
RELAY_EVERY_S = 1.0
REPORT_DEPTH_EVERY_S = 5.0
COUNT_UP_TO = 100_000
SILENCE_S = 30
LAST_ROUND_S = 3.0
ORPHANED_AFTER_S = 5.0  # a row of a partition that no worker relays


class Relay(Service):
    """Publishes the outbox rows of the partitions that this worker owns: at least once, and each user's in order.

    A session-level advisory lock per partition ensures that one worker relays it. The server ends a session that is
    silent for SILENCE_S, so that a stopped or disconnected worker does not keep its locks. Partitions that no worker
    owns any more are relayed too, by any worker; so are those of course-events, which none ever owns, without a wait.
    """

    def __init__(
        self, settings: Settings, producer: Producer, owned: Callable[[], set[TopicPartition]], **service: Any
    ) -> None:
        super().__init__(**service)
        self._settings = settings
        self._producer = producer
        self._owned = owned
        self._nudge = Nudge()
        self._connection: asyncpg.Connection | None = None
        self._locked: set[TopicPartition] = set()
        self._running: asyncio.Future[None] | None = None
        self._reported_at = 0.0
        self._looked_for_orphans_at = 0.0

    @property
    def dead(self) -> bool:
        """Says whether the relay's task has ended."""
        return self._running is not None and self._running.done()

    def nudge(self) -> None:
        """Starts the next round at once, because the outbox has new rows."""
        self._nudge.give()

    async def on_started(self) -> None:
        self._running = self.add_future(self._run())

    async def on_stop(self) -> None:
        """Runs a last round, for at most LAST_ROUND_S. The partitions' next owner publishes the rest."""
        self.nudge()
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=LAST_ROUND_S)
        if self._connection is not None:
            await close(self._connection)

    async def _run(self) -> None:
        failures = 0
        while not self.should_stop:
            await self._nudge.pause(RELAY_EVERY_S * min(2**failures, 30) if failures else RELAY_EVERY_S)
            failures = 0 if await self._relay_all(orphans=not failures) else failures + 1

    async def _relay_all(self, orphans: bool) -> bool:
        """Publishes all rows that wait. Returns whether both servers answered.

        A worker that failed the last time leaves `orphans` to the others.
        """
        try:
            connection = await self._ensure_connected()
            await self._update_locks(connection, orphans)
            await self._report_depth(connection)
            while await self._publish_round(connection):
                await self._report_depth(connection)
        except Unavailable as error:
            log.warning("the outbox waits: its course events are not published", error=str(error))
            metrics.RELAY_FAILURES.inc()
            return False
        return True

    async def _ensure_connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._locked.clear()
            self._connection = await connect(self._settings, idle_session_timeout=f"{SILENCE_S}s")
        return self._connection

    async def _update_locks(self, connection: asyncpg.Connection, orphans: bool) -> None:
        """Takes the locks of partitions that this worker has gained, or that nobody owns, and releases all others."""
        owned = self._owned()
        with translate_errors(connection):
            if self._locked - owned:
                await connection.execute(query("outbox/unlock_partitions"), *self._split_columns(self._locked - owned))
                self._locked &= owned
            if owned - self._locked:
                taken = await connection.fetch(
                    query("outbox/lock_partitions"), *self._split_columns(owned - self._locked)
                )
                self._locked |= {TopicPartition(row["topic"], row["partition"]) for row in taken}
            if orphans and time.monotonic() - self._looked_for_orphans_at >= RELAY_EVERY_S:  # not at each nudge
                self._looked_for_orphans_at = time.monotonic()
                taken = await connection.fetch(
                    query("outbox/lock_orphans"),
                    ORPHANED_AFTER_S,
                    *self._split_columns(self._locked),
                    self._settings.course_events_topic,  # which caused what `course-progress effects` announces
                )
                self._locked |= {TopicPartition(row["topic"], row["partition"]) for row in taken}

    async def _report_depth(self, connection: asyncpg.Connection) -> None:
        """Reports the depth of the outbox every few seconds, also of partitions that no worker relays."""
        if time.monotonic() - self._reported_at < REPORT_DEPTH_EVERY_S:
            return
        self._reported_at = time.monotonic()
        with translate_errors(connection):
            rows = await connection.fetch(query("outbox/depth"), *self._split_columns(self._locked), COUNT_UP_TO)
        for row in rows:
            metrics.report_outbox(row["whose"], row["rows"], row["oldest_s"])

    def _split_columns(self, partitions: set[TopicPartition]) -> tuple[list[str], list[int]]:
        return [tp.topic for tp in partitions], [tp.partition for tp in partitions]

    async def _publish_round(self, connection: asyncpg.Connection) -> bool:
        """Publishes a round of rows, and deletes them once Kafka acknowledges. Returns whether there may be more."""
        with translate_errors(connection):
            rows = await connection.fetch(query("outbox/next_rows"), *self._split_columns(self._locked), ROUND_ROWS)
        if not rows:
            return False
        try:
            await self._producer.send_all([self._build_record(row) for row in rows])
        except PublishFailed as error:
            raise explain("course events cannot be published", error) from error
        with translate_errors(connection):
            await connection.execute("delete from outbox where seq = any($1)", [row["seq"] for row in rows])
        metrics.RELAYED.inc(len(rows))
        return len(rows) >= ROUND_ROWS

    def _build_record(self, row: asyncpg.Record) -> OutgoingRecord:
        try:
            event = COURSE_EVENTS[row["type"]].model_validate_json(row["payload"])
        except (KeyError, ValidationError) as error:
            where = f"{row['source_topic']}[{row['source_partition']}]"
            raise SetupError(
                f"row seq {row['seq']} of the outbox, caused by {where}, is not a course event that this version knows "
                f"({type(error).__name__}, type {row['type']}): run the version that wrote it, or look at the row. "
                "Later rows of the partition wait"
            ) from error
        headers, value = binary(event, id=str(row["id"]), time=row["occurred_at"], source=SOURCE)
        return OutgoingRecord(self._settings.course_events_topic, row["aggregateid"].encode(), value, headers)
