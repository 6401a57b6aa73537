"""Observes the demo from outside, as an operator would: it asks broker and database, not the player or the worker."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from worker.deadletters.headers import OFFSET, PARTITION, REASON, RESOLVES, TOPIC
from worker.demo.certificates import Certificates
from worker.demo.player import Learner
from worker.demo.traffic import Origin
from worker.errors import Unavailable
from worker.kafka.client import client_arguments
from worker.learners.reads import CourseProgress
from worker.learners.service import ProgressService
from worker.postgres.connection import query
from worker.postgres.pool import connect_pool
from worker.settings import Settings
from worker.stream.outcome import Record

TIMEOUT_S = 3.0
REASONS_KEPT = 50
FETCH_WAIT_MS = 50


class Observer:
    """Keeps figures of broker and database, which `look` updates. Enter it before anything is published."""

    def __init__(self, settings: Settings, certificates: Certificates, *, remember: bool) -> None:
        self.applied = self.lag = self.outbox = self.recounts = self.dead_letters = 0
        self.caught_up = False  # at the last look, everything published was applied and received
        self.reasons: dict[str, int] = {}  # number of dead letters by reason; the latest last
        self.rejected: set[Origin] = set()
        self.offsets: dict[TopicPartition, int] = {}  # stored offsets: the next to be applied
        self.progress: dict[tuple[UUID, UUID], CourseProgress | None] = {}  # by user and course
        self._settings = settings
        self._certificates = certificates
        self._remember = remember
        self._trouble = ""  # of the last look
        self._asked, self._asked_at = "", math.inf  # of the look that is under way
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            self._pool = await connect_pool(self._settings)
            opening.push_async_callback(self._pool.close)
            self._service = await opening.enter_async_context(ProgressService(self._settings))
            travelled = (
                self._settings.lesson_events_topic,
                self._settings.course_catalog_topic,
                self._settings.course_events_topic,
            )
            self._logs = await opening.enter_async_context(open_consumer(self._settings, *travelled))
            self._letters = await opening.enter_async_context(
                open_consumer(self._settings, self._settings.dead_letter_topic)
            )
            # Paused, because a fetch that waits for records would delay every request for offsets.
            self._logs.pause(*self._logs.assignment())
            await self._letters.seek_to_end()
            self._first = await self._logs.beginning_offsets(self._logs.assignment())
            self._applied_before = sum((await self._read_applied()).values())
            self._opened = opening.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opened.aclose()

    async def look(self, learners: Sequence[Learner]) -> None:
        """Updates the figures, and the progress of these learners. A server that does not answer becomes `trouble`."""
        self.caught_up = False
        self._asked_at = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self.caught_up = await self._has_caught_up()
                keys = [(learner.user_id, learner.course.id) for learner in learners]
                self._asked = "PostgreSQL"
                self.progress = {key: await self._service.get_course_progress(*key) for key in keys}
            self._trouble = ""
        except (Unavailable, KafkaError, TimeoutError) as error:
            self._trouble = str(error) or f"{self._asked} does not answer"
        finally:
            self._asked_at = math.inf

    @property
    def trouble(self) -> str:
        """Names the server that did not answer at the last look, or keeps the current one waiting; else empty."""
        late = time.monotonic() - self._asked_at > TIMEOUT_S
        return f"{self._asked} does not answer" if late else self._trouble

    async def _has_caught_up(self) -> bool:
        """Says whether every event is applied, every version recounted, and every course event received.

        It asks in the order in which they travel, so that it misses none that moves on between two questions.
        """
        versions = await self._read_ends(self._settings.course_catalog_topic)
        known = await self._read_stored_offsets(self._settings.course_catalog_topic, self._settings.catalog_group)
        [row] = await self._fetch("select count(*) from course_recount where finished_at is null")
        self.recounts = row["count"]
        late = any(end > known[tp] for tp, end in versions.items()) or self.recounts
        ends = await self._read_ends(self._settings.lesson_events_topic)
        self.offsets = await self._read_applied()
        self.applied = sum(self.offsets.values()) - self._applied_before
        self.lag = sum(max(0, end - self.offsets[tp]) for tp, end in ends.items())
        [row] = await self._fetch(
            "select count(*) from outbox where source_topic = $1", self._settings.lesson_events_topic
        )
        self.outbox = row["count"]
        published = await self._read_ends(self._settings.course_events_topic)
        received = self._certificates.positions
        unread = any(end > received.get(tp.partition, self._first[tp]) for tp, end in published.items())
        return await self._read_dead_letters() and not (late or self.lag or self.outbox or unread)

    async def _read_ends(self, topic: str) -> dict[TopicPartition, int]:
        self._asked = "Kafka"
        partitions = [tp for tp in self._logs.assignment() if tp.topic == topic]
        ends: dict[TopicPartition, int] = await self._logs.end_offsets(partitions)
        return ends

    async def _read_applied(self) -> dict[TopicPartition, int]:
        return await self._read_stored_offsets(self._settings.lesson_events_topic, self._settings.consumer_group)

    async def _read_stored_offsets(self, topic: str, group: str) -> dict[TopicPartition, int]:
        rows = await self._fetch(query("postgres/stored_offsets"), group)
        stored = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        return {tp: stored.get(tp, first) for tp, first in self._first.items() if tp.topic == topic}

    async def _fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        self._asked = "PostgreSQL"
        return await self._pool.fetch(statement, *arguments)

    async def _read_dead_letters(self) -> bool:
        """Reads new dead letters. Says whether it has read all of them."""
        self._asked = "Kafka"
        for records in (await self._letters.getmany()).values():
            for record in records:
                self._note(record)
        ends = await self._letters.end_offsets(self._letters.assignment())
        return all([await self._letters.position(tp) >= end for tp, end in ends.items()])

    def _note(self, record: Record) -> None:
        if RESOLVES in dict(record.headers):  # a resolution, not a dead letter
            return
        headers = {name: value.decode(errors="replace") for name, value in record.headers}
        reason = headers.get(REASON, "no reason")
        self.reasons[reason] = self.reasons.pop(reason, 0) + 1
        if len(self.reasons) > REASONS_KEPT:
            del self.reasons[next(iter(self.reasons))]
        self.dead_letters += 1
        if self._remember:
            self.rejected.add((headers[TOPIC], int(headers[PARTITION]), int(headers[OFFSET])))


@asynccontextmanager
async def open_consumer(settings: Settings, *topics: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Opens a consumer of all partitions of these topics, in no group, that waits at most FETCH_WAIT_MS for records."""
    consumer = AIOKafkaConsumer(*topics, **client_arguments(settings), fetch_max_wait_ms=FETCH_WAIT_MS)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()
