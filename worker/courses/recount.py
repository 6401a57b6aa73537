"""Recounts the progress rows of a course after a version of it was published.

It takes the rows in chunks. A chunk, and how far the recount is, are written in one transaction, so a worker that is
killed leaves the rest to another. A batch of lesson events judges the rows that it touches by itself, so nobody is
missed and nobody waits.
"""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from aiokafka.partitioner import DefaultPartitioner
from mode import Service

from worker.errors import Unavailable
from worker.kafka.topics import fetch_partitions
from worker.metrics import prometheus as metrics
from worker.postgres.connection import close, connect, fetch_one, query
from worker.postgres.failures import translate_errors
from worker.settings import Settings

log = structlog.get_logger("recount")

CHUNK = 500  # progress rows
LOOK_EVERY_S = 1.0


class Recount(Service):
    """Recounts courses while the worker runs, at most `recount_share` of the time."""

    def __init__(self, settings: Settings, on_transitions: Callable[[], None], **service: Any) -> None:
        super().__init__(**service)
        self._settings = settings
        self._on_transitions = on_transitions
        self._connection: asyncpg.Connection | None = None
        self._partitions: list[int] = []
        self._chunk = CHUNK  # fewer after a chunk that took too long, or met batches that wrote its rows

    async def on_stop(self) -> None:
        if self._connection is not None:
            await close(self._connection)

    @Service.task
    async def _recount(self) -> None:
        while not self.should_stop:
            began = time.monotonic()
            try:
                worked = await self.recount_chunk()
                self._chunk = min(CHUNK, 2 * self._chunk)
            except Unavailable as error:
                log.warning("a recount waits", error=str(error), rows=self._chunk)
                self._chunk = max(1, self._chunk // 2)
                worked = False
            took = time.monotonic() - began
            await self.sleep(took * (1 / self._settings.recount_share - 1) if worked else LOOK_EVERY_S)

    async def recount_chunk(self) -> bool:
        """Recounts the next rows of a course that has some, durably. Returns whether there was anything to do.

        A course's rows are counted first, so that operators see how far its recount is.
        Raises Unavailable, also where a batch of lesson events wrote one of the rows meanwhile: repeat the call.
        """
        connection = await self._ensure_connected()
        topic = self._settings.lesson_events_topic
        self._partitions = self._partitions or await fetch_partitions(self._settings, topic)
        with translate_errors(connection):
            async with connection.transaction(isolation="repeatable_read"):
                course = await connection.fetchrow(query("courses/next_recount"))
                metrics.RECOUNTS.set(course["waiting"] if course else 0)
                if course is None:
                    return False
                counted = course["rows_expected"] is not None
                users = await self._next_users(connection, course) if counted else []
                judged = await self._judge(connection, course, users) if counted else None
            if judged is None:
                await connection.execute(query("courses/count_rows"), course["course_id"], course["version"])
                return True
        metrics.RECOUNTED.inc(len(users))
        if judged["announced"]:
            self._on_transitions()
        return True

    async def _next_users(self, connection: asyncpg.Connection, course: asyncpg.Record) -> list[UUID]:
        rows = await connection.fetch(
            query("courses/recount_chunk"), course["course_id"], course["after_user"], self._chunk
        )
        return [row["user_id"] for row in rows]

    async def _judge(self, connection: asyncpg.Connection, course: asyncpg.Record, users: list[UUID]) -> asyncpg.Record:
        topic = self._settings.lesson_events_topic
        partitioner = DefaultPartitioner()  # as `verify --fix`: a learner's course events keep their order (0012)
        partitions = [partitioner(str(user).encode(), self._partitions, []) for user in users]
        courses, topics = [course["course_id"]] * len(users), [topic] * len(users)
        causes = ["course-changed"] * len(users)
        judged = await fetch_one(
            connection, "progress/judge", users, courses, topics, partitions, causes, self._settings.milestones
        )
        await connection.execute(
            query("courses/advance_recount"),
            course["course_id"],
            users[-1] if users else course["after_user"],
            len(users),
            judged["changed"],
            judged["completed"],
            judged["revoked"],
            len(users) < self._chunk,
        )
        return judged

    async def _ensure_connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._settings, plan_cache_mode="force_custom_plan", enable_seqscan="off", jit="off"
            )
        return self._connection
