"""Watches Kafka, PostgreSQL and the workers for operators: every two seconds while an operator reads the snapshot."""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self
from uuid import UUID

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from worker.errors import KafkaUnavailable
from worker.kafka.failures import explain_consumer_error, is_broker_answer
from worker.operations.cluster import Cluster
from worker.operations.lag_history import Delay, LagHistory, Point
from worker.operations.snapshot import (
    MOST_COURSES,
    DisagreeingTotal,
    Look,
    Outbox,
    Question,
    RecountStatus,
    Snapshot,
    WorkerStatus,
    build_snapshot,
)
from worker.postgres.connection import query, with_time_limit
from worker.postgres.failures import translate_errors
from worker.postgres.pool import connect_pool
from worker.settings import Settings

log = structlog.get_logger("operations")

SNAPSHOT_EVERY_S = 2.0
WATCHED_S = 60.0
SAMPLE_EVERY_S = 30.0
LONGEST_ANSWER_S = 3.0
KEPT_S = 15 * 60
RECOUNTS_KEPT_S = float(KEPT_S)  # that have ended
NEWEST_LETTERS = 20
COUNT_UP_TO = 100_000


class Operations:
    """Looks at Kafka and PostgreSQL for all readers together. An async context manager.

    A call of `snapshot` makes it look every SNAPSHOT_EVERY_S for WATCHED_S, so any number of readers cost the same.
    Otherwise it only samples lag every SAMPLE_EVERY_S, because an operator who opens the page at night needs to see
    since when events wait.

    Either server may be away, also at the start. Reading raises only for a bug.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = with_time_limit(settings, LONGEST_ANSWER_S)
        self._cluster = Cluster(settings)
        self._history = LagHistory(KEPT_S)
        self._snapshot: Snapshot | None = None
        self._look_done = asyncio.Event()
        self._look_wanted = asyncio.Event()
        self._asked_at = float("-inf")

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(self._settings, max_size=3)
        self._start_watching()
        return self

    def _start_watching(self) -> None:
        self._look_done.clear()
        self._watching = asyncio.create_task(self._keep_looking(), name="operations")
        self._watching.add_done_callback(self._note_end)

    def _note_end(self, watching: asyncio.Task[None]) -> None:
        self._look_done.set()
        if not watching.cancelled() and (error := watching.exception()):
            log.error("watching operations failed", exc_info=error)

    async def __aexit__(self, *exc_info: object) -> None:
        self._watching.cancel()
        await asyncio.wait({self._watching})
        await self._cluster.close()
        self._pool.terminate()  # its queries only read: none has to finish

    async def snapshot(self) -> Snapshot:
        """Returns the latest snapshot. The first call after a pause waits for a new look, for a few seconds at most.

        After a bug it raises that bug, and starts the watch again.
        """
        self._asked_at = asyncio.get_running_loop().time()
        self._look_wanted.set()
        await self._look_done.wait()
        if self._watching.done():
            ended = self._watching
            self._start_watching()
            ended.result()
        assert self._snapshot is not None
        return self._snapshot

    def history(self, every_s: float = SAMPLE_EVERY_S - SNAPSHOT_EVERY_S) -> tuple[Point, ...]:
        """Returns lag and rates of the last KEPT_S (15 minutes), oldest first.

        The points are some SAMPLE_EVERY_S apart, whether or not there were readers. There are none for a time when a
        server was away.
        """
        return self._history.points(every_s)

    def delays(self) -> dict[int, Delay]:
        """Returns how far behind each partition is, by the last look at which both servers answered."""
        return self._history.delays()

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            watched = self._look_wanted.is_set() or began - self._asked_at < WATCHED_S
            self._look_wanted.clear()
            look = await self._look(everything=watched)
            if (sample := look.sample) is not None:
                self._history.add(sample)
            if watched:
                self._snapshot = build_snapshot(look, self._history.rates() if sample else None)
                self._look_done.set()
                await asyncio.sleep(max(0, SNAPSHOT_EVERY_S - (loop.time() - began)))
            else:
                self._look_done.clear()
                await self._wait_for_reader(began + SAMPLE_EVERY_S)

    async def _wait_for_reader(self, at: float) -> None:
        """Waits for a reader, or until the time `at` by the loop's clock."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(at):
                await self._look_wanted.wait()

    async def _look(self, *, everything: bool) -> Look:
        """Asks both servers for everything that a snapshot needs, or only for a sample."""
        look = Look(datetime.now(UTC))
        async with asyncio.TaskGroup() as both:
            both.create_task(self._look_at_kafka(look, everything))
            both.create_task(self._look_at_postgresql(look, everything))
        return look

    async def _look_at_kafka(self, look: Look, everything: bool) -> None:
        """Asks one question after the other over one connection: while Kafka is away, only the first one waits."""
        cluster = self._cluster
        questions: dict[str, Question] = {"lesson_events": partial(self._read_log, look)}
        if everything:
            questions |= {
                "group": cluster.read_group,
                "dead_letters": lambda: cluster.read_dead_letters(NEWEST_LETTERS),
            }
        for name, question in questions.items():
            problem = await look.ask(name, partial(self._ask_kafka, question))
            if problem is not None and not (cluster.is_connected and _is_answer(problem.__cause__)):
                look.missing |= {other: str(problem) for other in questions if getattr(look, other) is None}
                with suppress(KafkaError):  # of the connection that has failed already
                    await cluster.close()
                return

    async def _read_log(self, look: Look) -> dict[int, tuple[int, int]]:
        look.topic_id = await self._cluster.read_topic_id()
        return await self._cluster.read_log_ranges()

    async def _ask_kafka(self, question: Question) -> Any:
        try:
            async with asyncio.timeout(LONGEST_ANSWER_S):
                await self._cluster.connect()
                return await question()
        except (KafkaError, TimeoutError) as error:
            raise explain_consumer_error(error, self._settings) from error
        except UnicodeDecodeError as error:  # raised by aiokafka for all records of the fetch
            raise KafkaUnavailable("a dead letter has a header whose name is not UTF-8") from error

    async def _look_at_postgresql(self, look: Look, everything: bool) -> None:
        async with asyncio.TaskGroup() as questions:
            questions.create_task(look.ask("stored", partial(self._read_stored_offsets, look)))
            if everything:
                questions.create_task(look.ask("statuses", self._read_statuses))
                questions.create_task(look.ask("outbox", self._read_outbox))
                questions.create_task(look.ask("recounts", self._read_recounts))

    async def _read_stored_offsets(self, look: Look) -> dict[int, int]:
        names = (self._settings.consumer_group, self._settings.lesson_events_topic)
        rows = await self._fetch("operations/stored_offsets", *names)
        look.counted_topic_id = rows[0]["topic_id"] if rows else None
        return {row["partition"]: row["next_offset"] for row in rows}

    async def _read_statuses(self) -> list[WorkerStatus]:
        rows = await self._fetch("operations/worker_statuses", self._settings.consumer_group)
        return [_build_status(dict(row)) for row in rows]

    async def _read_recounts(self) -> list[RecountStatus]:
        rows = await self._fetch("operations/recounts", RECOUNTS_KEPT_S, MOST_COURSES)
        return [RecountStatus(**row) for row in rows]

    async def _read_outbox(self) -> Outbox:
        depths = await self._fetch("outbox/depth", [], [], COUNT_UP_TO)
        [outbox] = (Outbox(row["rows"], row["oldest_s"]) for row in depths if row["whose"] == "all")
        return outbox

    async def _fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        with translate_errors():
            async with asyncio.timeout(LONGEST_ANSWER_S):
                return await self._pool.fetch(query(name), *arguments)


def _build_status(row: dict[str, Any]) -> WorkerStatus:
    disagreeing = [
        DisagreeingTotal(UUID(found.pop("course_id")), at=datetime.fromisoformat(found.pop("at")), **found)
        for found in json.loads(row.pop("disagreeing_totals"))
    ]
    return WorkerStatus(**row, disagreeing_totals=tuple(disagreeing))


def _is_answer(error: BaseException | None) -> bool:
    """Tells whether a broker answered, so that the connection is good: a new cluster lacks a coordinator at first."""
    return isinstance(error, UnicodeDecodeError) or is_broker_answer(error)
