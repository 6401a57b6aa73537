"""One round of the suite: a load, workers behind a bad network, trouble, recovery, and the comparison."""

import asyncio
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.faults.comparison import AUDIT, Differences, compare, records_of
from tests.faults.load import Learners, Load, Origin
from tests.faults.proxy import Proxy
from tests.faults.servers import Server, Servers
from tests.faults.supervised import Supervised
from tests.processes import environment, eventually
from worker.devstack.process import find_free_ports
from worker.kafka.topics import create_missing
from worker.postgres.migrate import migrate
from worker.settings import Settings

PARTITIONS = 4
# Workers have the rights that production gives them, also on a bad day.
WORKER_LOGIN = """
do $$ begin
    create role faults_worker login in role course_progress_worker;
exception when duplicate_object then null;
end $$;
"""
RECOVERS_WITHIN_S = 180
SESSION_TIMEOUT_S = 3
Call: TypeAlias = Callable[[], Any]


class Scene:
    """What a fault may do, and what it may ask."""

    def __init__(self, servers: Servers, settings: Settings, database: str, seed: int, directory: Path) -> None:
        self.servers, self.settings, self.database, self.directory = servers, settings, database, directory
        self.rng = random.Random(seed)
        self.learners = Learners(settings.lesson_events_topic, seed)
        self.load = Load(servers.broker.address, iter(self.learners))
        self.kafka = Proxy(servers.kafka_proxy_port, servers.broker.port)
        self.postgres = Proxy(servers.database_proxy_port, servers.database.port)
        self.workers: list[Supervised] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._publishing = asyncio.create_task(asyncio.sleep(0), name="no load yet")
        self.unexpected: list[str] = []  # broken promises that are no row
        self.over_at: float | None = None
        self.lost_with_reason = ""  # why events may be lost, where the fault itself deletes them
        self.deleted: set[Origin] = set()

    @property
    def direct(self) -> Settings:
        """For the suite itself: past the proxies."""
        return self.settings.model_copy(
            update={
                "kafka_bootstrap_servers": self.servers.broker.address,
                "database_url": type(self.settings.database_url)(self.servers.database.url(self.database)),
            }
        )

    # Workers

    def start(self, *patch: str, **changed: object) -> Supervised:
        """A worker; with a patch of `launch.py` until it is started again."""
        [port] = find_free_ports(1)
        settings = self.settings.model_copy(update={"http_port": port, **changed})
        first = ("tests.faults.launch", *patch, "worker") if patch else ("worker.cli", "worker")
        worker = Supervised(settings, self.directory / f"worker-{len(self.workers)}.log")
        worker.expected |= {-signal.SIGKILL} if patch else set()
        worker.start(first)
        self.workers.append(worker)
        self.tasks.append(asyncio.create_task(worker.run(), name=str(worker.log)))
        return worker

    async def two_workers(self) -> None:
        """A load and two workers at work, at a moment that the seed chooses."""
        self.publish()
        self.start()
        self.start()
        await self.working()
        await self.some()

    async def working(self, *workers: Supervised) -> None:
        """Until each is ready."""

        async def all_ready() -> bool:
            return all([await worker.ready() == 200 for worker in workers or self.workers if worker.wanted])

        await eventually(all_ready)

    async def some(self, least_s: float = 0.5, most_s: float = 2.5) -> None:
        """A moment that the seed chooses."""
        await asyncio.sleep(self.rng.uniform(least_s, most_s))

    def over(self) -> None:
        """The trouble ends now: from here on recovery is measured. Otherwise when the fault returns."""
        self.over_at = time.monotonic()

    async def require(self, name: str) -> None:
        """That some worker has noticed: this metric of its is above 0."""
        if not sum([await worker.metric(name) for worker in self.workers]):
            self.unexpected.append(f"the fault did not happen: {name} is 0")

    # Servers

    async def restart(self, server: Server, how: signal.Signals, away_s: float = 0) -> None:
        """Ends a server under two workers with this signal, and starts it again."""
        await self.two_workers()
        await self.blocking(server.stop, how)
        await asyncio.sleep(away_s)
        await self.blocking(server.start)

    async def blocking(self, call: Call, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)

    async def sql(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.servers.database.url(self.database))
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    async def administer(self, statement: str) -> None:
        """In another database than the scene's."""
        connection = await asyncpg.connect(self.servers.database.url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def execute(self, script: str) -> None:
        connection = await asyncpg.connect(self.servers.database.url(self.database))
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    async def run(self, *arguments: str) -> tuple[int, str]:
        """A command of `course-progress`: its status and all it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker.cli", *arguments),
            env=environment(self.direct),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    # Recovery

    async def ends(self) -> dict[TopicPartition, int]:
        topic = self.settings.lesson_events_topic
        consumer = AIOKafkaConsumer(bootstrap_servers=self.servers.broker.address)
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
            return dict(await consumer.end_offsets(partitions))
        finally:
            await consumer.stop()

    async def recovered(self) -> None:
        """Until all that is in the log now is applied and announced. Raises AssertionError when it takes too long."""
        ends = await self.ends()

        async def applied() -> bool:
            stored = await self.stored_offsets()
            return all(stored.get(tp.partition, 0) >= end for tp, end in ends.items())

        await eventually(applied, RECOVERS_WITHIN_S)
        [[last]] = await self.sql("select max(seq) from outbox")

        async def announced() -> bool:
            return not await self.sql("select from outbox where seq <= $1", last)

        await eventually(announced, RECOVERS_WITHIN_S)

    async def stored_offsets(self) -> dict[int, int]:
        query = "select partition, next_offset from consumed_offset where topic = $1"
        rows = await self.sql(query, self.settings.lesson_events_topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def at_rest(self) -> None:
        """Until nothing is published any more, and what was is applied and announced."""
        self.load.stopping.set()
        await self._publishing
        await self.recovered()

    def publish(self, at_most: int | None = None) -> asyncio.Task[None]:
        """Starts the load, until the scene is at rest or so much is acknowledged."""
        self._publishing = asyncio.create_task(self.load.run(at_most), name="load")
        return self._publishing

    async def compare(self) -> Differences:
        direct = self.direct
        self.load.good = [(origin, happened) for origin, happened in self.load.good if origin not in self.deleted]
        self.load.bad = [(origin, record) for origin, record in self.load.bad if origin not in self.deleted]
        course_events = await records_of(direct.kafka_bootstrap_servers, direct.course_events_topic)
        dead_letters = await records_of(direct.kafka_bootstrap_servers, direct.dead_letter_topic)
        connection = await asyncpg.connect(direct.database_url.get_secret_value(), server_settings={"timezone": "UTC"})
        try:
            return await compare(connection, self.load, course_events, dead_letters)
        finally:
            await connection.close()

    def stopped(self) -> list[str]:
        """A line for each worker that ended by itself and should not have."""
        return [
            f"{worker.log.name} ended with {status}, which nobody asked for"
            for worker in self.workers
            for status in worker.exits
            if status not in worker.expected
        ]

    def last_words(self) -> list[str]:
        """What each worker logged last."""
        said = []
        for worker in self.workers:
            lines = [line for line in worker.log.read_text().splitlines() if '"level": "info"' not in line]
            said.append("\n".join([f"{worker.log.name}, exits {worker.exits}:", *lines[-12:]]))
        return said

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.signal(signal.SIGKILL)
            worker.process.wait()
        self.load.stopping.set()
        self._publishing.cancel()
        await asyncio.gather(*self.tasks, self._publishing, return_exceptions=True)


@asynccontextmanager
async def scene(servers: Servers, seed: int, **changed: object) -> AsyncIterator[Scene]:
    """A database, topics and a consumer group of its own, on servers that are up."""
    mark = uuid4().hex[:10]
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="course-progress-faults-")))
        settings = settings_for(servers, mark).model_copy(update=changed)
        made = Scene(servers, settings, f"faults_{mark}", seed, directory)
        await made.administer(f"create database {made.database}")
        await migrate(made.direct)
        await made.execute(AUDIT)
        await made.execute(WORKER_LOGIN)
        await create_missing(made.direct)
        await stack.enter_async_context(made.kafka)
        await stack.enter_async_context(made.postgres)
        stack.push_async_callback(made.close)
        yield made


def settings_for(servers: Servers, mark: str) -> Settings:
    """What the workers are told: the proxies are their servers."""
    return Settings(
        database_url=servers.database.url(f"faults_{mark}", servers.database_proxy_port, user="faults_worker"),
        database_timeout_s=10,
        kafka_bootstrap_servers=f"127.0.0.1:{servers.kafka_proxy_port}",
        consumer_group=f"faults-{mark}",
        lesson_events_topic=f"lesson-events-{mark}",
        course_events_topic=f"course-events-{mark}",
        dead_letter_topic=f"lesson-events-{mark}.dlq",
        topic_partitions=PARTITIONS,
        session_timeout_s=SESSION_TIMEOUT_S,
        rebalance_timeout_s=10,
        batch_size=100,
        environment="production",  # the suite makes topics and tables, as their owners do
        log_format="json",
    )
