"""Offers a fault its scene: a load, workers behind a bad network, trouble, proofs, recovery, and the comparison."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.faults.comparison import Differences, compare, records_of
from tests.faults.load import Learners, Load, Origin
from tests.faults.proxy import Proxy
from tests.faults.servers import Server, Servers
from tests.faults.supervised import SupervisedWorker
from tests.processes import DEADLINE_S, environment, eventually
from worker.devstack.process import find_free_ports
from worker.settings import Settings

PARTITIONS = 4
RECOVERS_WITHIN_S = 180
SESSION_TIMEOUT_S = 3
Call: TypeAlias = Callable[[], Any]


class Scene:
    """Offers a fault what it may do, and what it may ask."""

    def __init__(self, servers: Servers, settings: Settings, database: str, seed: int, directory: Path) -> None:
        self.servers, self.settings, self.database, self.directory = servers, settings, database, directory
        self.rng = random.Random(seed)
        self.learners = Learners(settings.lesson_events_topic, seed)
        self.load = Load(servers.kafka, iter(self.learners))
        self.kafka = Proxy(servers.kafka_proxy_port, servers.broker.port)
        self.postgres = Proxy(servers.database_proxy_port, servers.database.port)
        self.workers: list[SupervisedWorker] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._publishing = asyncio.create_task(asyncio.sleep(0), name="no load yet")
        self.unexpected: list[str] = []  # broken promises that no row shows
        self.proofs = 0  # that the fault happened
        self.over_at: float | None = None
        self.lost_with_reason = ""  # why events may be lost, where the fault itself deletes them
        self.deleted: set[Origin] = set()

    @property
    def direct(self) -> Settings:
        """Returns settings for the suite itself, which bypass the proxies."""
        return self.settings.model_copy(
            update={
                "kafka_bootstrap_servers": self.servers.kafka,
                "database_url": type(self.settings.database_url)(self.servers.database.url(self.database)),
            }
        )

    # Workers

    def start(self, *patch: str, checkout: Path | None = None, **changed: object) -> SupervisedWorker:
        """Starts a worker; with a patch of `launch.py`, which lasts until its supervisor starts it again.

        Its code is this one, or that of another checkout.
        """
        settings = self.settings.model_copy(update={"http_port": self.choose_port(), **changed})
        first = ("tests.faults.launch", *patch, "worker") if patch else ("worker.cli", "worker")
        worker = SupervisedWorker(settings, self.directory / f"worker-{len(self.workers)}.log", checkout)
        worker.expected |= {-signal.SIGKILL} if patch else set()
        worker.start(first)
        self.workers.append(worker)
        self.tasks.append(asyncio.create_task(worker.run(), name=str(worker.log)))
        return worker

    def choose_port(self) -> int:
        """Chooses a free port that no worker of this scene has, not even one that is only about to take its own."""
        taken = {worker.settings.http_port for worker in self.workers}
        return next(port for port in find_free_ports(len(taken) + 1) if port not in taken)

    async def start_two_workers(self) -> None:
        """Starts a load and two workers, and returns at a moment that the seed chooses, when they work."""
        self.publish()
        self.start()
        self.start()
        await self.wait_until_ready()
        await self.pause()

    async def wait_until_ready(self, *workers: SupervisedWorker) -> None:
        """Waits until each worker is ready."""

        async def all_ready() -> bool:
            return all([await worker.ready() == 200 for worker in workers or self.workers if worker.wanted])

        await eventually(all_ready)

    async def pause(self, least_s: float = 0.5, most_s: float = 2.5) -> None:
        """Waits for a time that the seed chooses."""
        await asyncio.sleep(self.rng.uniform(least_s, most_s))

    def mark_over(self) -> None:
        """Notes that the trouble ends now, where recovery begins. Without a call it begins when the fault returns."""
        self.over_at = time.monotonic()

    # Proofs that the fault happened, without which no round counts

    def prove(self, happened: bool, otherwise: str) -> None:
        """Counts a proof; or notes what is the case otherwise, so that the round is broken."""
        self.proofs += happened
        if not happened:
            self.unexpected.append(f"the fault did not happen: {otherwise}")

    async def wait_for_proof(self, happened: Callable[[], Awaitable[bool]], within_s: float = DEADLINE_S) -> None:
        """Waits until this holds, which is a proof; notes it when it does not hold in time."""
        try:
            await eventually(happened, within_s)
        except AssertionError as error:
            self.prove(False, str(error))
        else:
            self.prove(True, "")

    async def require(self, name: str) -> None:
        """Waits until a worker has noticed the fault, which is a proof: this metric is above 0."""

        async def noticed() -> bool:
            return sum([await worker.metric(name) for worker in self.workers]) > 0

        noticed.__name__ = f"{name} is above 0"
        await self.wait_for_proof(noticed)

    # Servers

    async def restart(self, server: Server, how: signal.Signals, away_s: float = 0) -> None:
        """Ends a server under two workers with this signal, and starts it again."""
        await self.start_two_workers()
        await self.run_blocking(server.stop, how)
        await asyncio.sleep(away_s)
        await self.run_blocking(server.start)

    async def run_blocking(self, call: Call, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)

    async def sql(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._connect(self.database) as connection:
            return await connection.fetch(statement, *arguments)

    async def execute(self, script: str) -> None:
        async with self._connect(self.database) as connection:
            await connection.execute(script)

    async def administer(self, statement: str) -> None:
        """Executes a statement outside the scene's database."""
        async with self._connect("postgres") as connection:
            await connection.execute(statement)

    @asynccontextmanager
    async def _connect(self, database: str) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.servers.database.url(database))
        try:
            yield connection
        finally:
            await connection.close()

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Runs a command of `course-progress`, and returns its status and its output."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker.cli", *arguments),
            env=environment(self.direct),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:  # the fault has stopped waiting
                process.kill()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def rewind(self, *stream: str) -> None:
        """Runs `rewind --to earliest`, of lesson events or of the stream that these options name.

        It must succeed; stored offsets may go back by it.
        """
        status, said = await self.run("rewind", "--to", "earliest", *stream)
        if status:
            self.unexpected.append(f"rewind: {said}")
        await self.execute("delete from offsets_gone_back")

    async def require_new_topic_noticed(self) -> None:
        """Waits until each worker has stopped by itself because its topic was created again, which is a proof."""
        for worker in self.workers:
            worker.expected.add(1)
        await asyncio.gather(*(worker.wait_for_exits() for worker in self.workers))
        self.prove(all(worker.exits[0] == 1 for worker in self.workers), "a worker did not notice the new topic")
        await asyncio.gather(*(worker.stop() for worker in self.workers))

    # Recovery

    async def read_ends(self, *topics: str) -> dict[TopicPartition, int]:
        """Reads where each partition of these topics ends; without any, those of lesson events."""
        topics = topics or (self.settings.lesson_events_topic,)
        consumer = AIOKafkaConsumer(*topics, bootstrap_servers=self.servers.kafka)  # with all partitions that are there
        await consumer.start()
        try:
            return dict(await consumer.end_offsets(consumer.assignment()))
        finally:
            await consumer.stop()

    async def wait_until_recovered(self) -> None:
        """Waits until everything that is in the log now is applied and announced.

        Raises AssertionError after RECOVERS_WITHIN_S.
        """
        await self.wait_until_applied()
        [[last]] = await self.sql("select max(seq) from outbox")

        async def announced() -> bool:
            return not await self.sql("select from outbox where seq <= $1", last)

        await eventually(announced, RECOVERS_WITHIN_S)

    async def wait_until_applied(self) -> None:
        """Waits until everything that is in the log now is applied, and recounted where a version was published.

        Raises AssertionError after RECOVERS_WITHIN_S.
        """
        ends = await self.read_ends()

        async def applied() -> bool:
            stored = await self.read_stored_offsets()
            return all(stored.get(tp.partition, 0) >= end for tp, end in ends.items())

        await eventually(applied, RECOVERS_WITHIN_S)
        if self.load.versions:
            await self._wait_until_recounted()

    async def _wait_until_recounted(self) -> None:
        topic = self.settings.course_catalog_topic
        ends = await self.read_ends(topic)

        async def recounted() -> bool:
            rows = await self.sql("select partition, next_offset from consumed_offset where topic = $1", topic)
            stored = {row["partition"]: row["next_offset"] for row in rows}
            waits = await self.sql("select from course_recount where finished_at is null")
            return not waits and all(stored.get(tp.partition, 0) >= end for tp, end in ends.items())

        await eventually(recounted, RECOVERS_WITHIN_S)

    async def read_stored_offsets(self) -> dict[int, int]:
        query = "select partition, next_offset from consumed_offset where topic = $1"
        rows = await self.sql(query, self.settings.lesson_events_topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def come_to_rest(self) -> None:
        """Stops the load, and waits until everything is applied and announced."""
        self.load.stopping.set()
        await self._publishing
        await self.wait_until_recovered()

    def publish(self, at_most: int | None = None) -> asyncio.Task[None]:
        """Starts the load, until the scene is at rest or `at_most` records are acknowledged."""
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

    def unexpected_exits(self) -> list[str]:
        """Returns a line for each worker that ended by itself and should not have."""
        return [
            f"{worker.log.name} ended with {status}, which the fault does not cause"
            for worker in self.workers
            for status in worker.exits
            if status not in worker.expected
        ]

    def last_words(self) -> list[str]:
        """Returns the last log lines of each worker."""
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
