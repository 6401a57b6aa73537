"""What whoever runs the workers needs to see: Kafka, PostgreSQL and the workers, every two seconds while they look."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

import asyncpg
import structlog
from aiokafka.errors import BrokerResponseError, KafkaError, RequestTimedOutError

from worker.errors import KafkaUnavailable
from worker.kafka.failures import explain_consumer_error
from worker.operations.cluster import Cluster
from worker.operations.lag_history import Delay, LagHistory, Point
from worker.operations.snapshot import Look, Outbox, Question, Snapshot, WorkerStatus, build_snapshot
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
NEWEST_LETTERS = 20
COUNT_UP_TO = 100_000


class Operations:
    """An async context manager. Whoever reads has it look every LOOK_EVERY_S for WATCHED_S, so any number of viewers
    cost the same. While nobody does, it only notes lag every SAMPLE_EVERY_S: whoever opens the page at night needs to
    see since when.

    Neither server need be there, not even at the start. Reading raises only for a bug.
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
        self._begin()
        return self

    def _begin(self) -> None:
        self._look_done.clear()
        self._looking = asyncio.create_task(self._keep_looking(), name="operations")
        self._looking.add_done_callback(self._ended)

    def _ended(self, looking: asyncio.Task[None]) -> None:
        self._look_done.set()
        if not looking.cancelled() and (error := looking.exception()):
            log.error("operations cannot be looked at", exc_info=error)

    async def __aexit__(self, *exc_info: object) -> None:
        self._looking.cancel()
        await asyncio.wait({self._looking})
        await self._cluster.close()
        self._pool.terminate()  # nothing was begun that has to end

    async def snapshot(self) -> Snapshot:
        """The latest look. The first to ask after a pause waits for a new one, for some seconds at most.

        Raises for a bug, and has it tried again.
        """
        self._asked_at = asyncio.get_running_loop().time()
        self._look_wanted.set()
        await self._look_done.wait()
        if self._looking.done():
            ended = self._looking
            self._begin()
            ended.result()
        assert self._snapshot is not None
        return self._snapshot

    def history(self, every_s: float = SAMPLE_EVERY_S - SNAPSHOT_EVERY_S) -> tuple[Point, ...]:
        """Lag and rates of the last quarter of an hour, oldest first; some SAMPLE_EVERY_S apart, whether or not
        anybody looked, but for times when a server was away."""
        return self._history.points(every_s)

    def delays(self) -> dict[int, Delay]:
        """How far behind each partition is, by the last look at which both servers answered."""
        return self._history.delays()

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            watched = self._look_wanted.is_set() or began - self._asked_at < WATCHED_S
            self._look_wanted.clear()
            found = await self._look(everything=watched)
            if (sample := found.sample) is not None:
                self._history.add(sample)
            if watched:
                self._snapshot = build_snapshot(found, self._history.rates() if sample else None)
                self._look_done.set()
                await asyncio.sleep(max(0, SNAPSHOT_EVERY_S - (loop.time() - began)))
            else:
                self._look_done.clear()
                await self._wait_for_reader(began + SAMPLE_EVERY_S)

    async def _wait_for_reader(self, at: float) -> None:
        """Or until then, by the loop's clock."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(at):
                await self._look_wanted.wait()

    async def _look(self, *, everything: bool) -> Look:
        """All that a snapshot needs, or only a sample."""
        found = Look(datetime.now(UTC))
        async with asyncio.TaskGroup() as both:
            both.create_task(self._look_at_kafka(found, everything))
            both.create_task(self._look_at_postgresql(found, everything))
        return found

    async def _look_at_kafka(self, found: Look, everything: bool) -> None:
        """One question after the other, on one connection; where Kafka is away, only the first has to wait for it."""
        cluster = self._cluster
        questions: dict[str, Question] = {"lesson_events": cluster.lesson_events}
        if everything:
            questions |= {"group": cluster.group, "dead_letters": lambda: cluster.dead_letters(NEWEST_LETTERS)}
        for name, question in questions.items():
            problem = await found.ask(name, partial(self._of_kafka, question))
            if problem is not None and not (cluster.is_connected and _is_answer(problem.__cause__)):
                found.missing |= {other: str(problem) for other in questions if getattr(found, other) is None}
                with suppress(KafkaError):  # of what had failed already
                    await cluster.close()
                return

    async def _of_kafka(self, question: Question) -> Any:
        try:
            async with asyncio.timeout(LONGEST_ANSWER_S):
                await self._cluster.connect()
                return await question()
        except (KafkaError, TimeoutError) as error:
            raise explain_consumer_error(error, self._settings) from error
        except UnicodeDecodeError as error:  # aiokafka's, for all records of the fetch
            raise KafkaUnavailable("a dead letter has a header whose name is not UTF-8") from error

    async def _look_at_postgresql(self, found: Look, everything: bool) -> None:
        async with asyncio.TaskGroup() as all_three:
            all_three.create_task(found.ask("stored", self._stored))
            if everything:
                all_three.create_task(found.ask("statuses", self._statuses))
                all_three.create_task(found.ask("outbox", self._outbox))

    async def _stored(self) -> dict[int, int]:
        rows = await self._fetch("postgres/next_offsets", self._settings.consumer_group)
        return {
            row["partition"]: row["next_offset"] for row in rows if row["topic"] == self._settings.lesson_events_topic
        }

    async def _statuses(self) -> list[WorkerStatus]:
        return [
            WorkerStatus(**row)
            for row in await self._fetch("operations/worker_statuses", self._settings.consumer_group)
        ]

    async def _outbox(self) -> Outbox:
        depths = await self._fetch("outbox/depth", [], [], COUNT_UP_TO)
        [outbox] = (Outbox(row["rows"], row["oldest_s"]) for row in depths if row["whose"] == "all")
        return outbox

    async def _fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        with translate_errors():
            async with asyncio.timeout(LONGEST_ANSWER_S):
                return await self._pool.fetch(query(name), *arguments)


def _is_answer(error: BaseException | None) -> bool:
    """Whether a broker answered, so that the connection is good: a new cluster has no coordinator for a moment."""
    return isinstance(error, BrokerResponseError | UnicodeDecodeError) and not isinstance(error, RequestTimedOutError)


# From what was found to what is shown. Pure
