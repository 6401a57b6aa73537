"""Creates what a measurement needs: databases with rows, and topics with events."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import asyncpg
from confluent_kafka import KafkaError, Message, Producer
from pydantic import SecretStr

from events.envelope import binary
from tests.bench.learners import Happened, Order, Rows, even, in_time
from tests.bench.sizes import Sizes
from worker.devstack import Servers
from worker.kafka.topics import admin_client, create_missing
from worker.postgres.migrate import migrate
from worker.settings import Settings

QUERIES = Path(__file__).parent / "queries"
PARTITIONS = 12
# Leaves as full as those of an index that grew in random order, not as one built at once.
GROWN = "with (fillfactor = 70)"

OnDelivery: TypeAlias = Callable[[KafkaError | None, Message], None]


def query(name: str) -> str:
    """Reads the text of `queries/<name>.sql`."""
    return (QUERIES / f"{name}.sql").read_text()


@dataclass(frozen=True)
class Bench:
    """Holds servers that nothing else uses, the sizes of the measurements, and a function that reports progress."""

    servers: Servers
    sizes: Sizes
    say: Callable[[str], None]

    # Databases

    @asynccontextmanager
    async def filled(self, *groups: Rows) -> AsyncIterator[Settings]:
        """Yields the settings of a new database with these rows, vacuumed and analysed; drops it at the end."""
        self.say(f"  filling {sum(rows.rows * rows.done for rows in groups):,} lesson rows")
        async with self._database("") as settings:
            await migrate(settings)
            async with connected(settings) as connection:
                await connection.execute(query("watch"))
                await fill(connection, groups)
            yield settings

    @asynccontextmanager
    async def copy(self, of: Settings) -> AsyncIterator[Settings]:
        """Yields a copy of the database, byte for byte, right behind a checkpoint, and a consumer group of its own.

        Earlier writes of all processes are on the disk by then, so that no flush waits for them.
        """
        async with self._database(f"template {database_of(of)} strategy file_copy") as made:
            await asyncio.to_thread(os.sync)
            yield of.model_copy(update={"database_url": made.database_url, "consumer_group": made.consumer_group})

    @asynccontextmanager
    async def _database(self, clauses: str) -> AsyncIterator[Settings]:
        mark = uuid4().hex[:10]
        async with connected(self.settings()) as admin:
            await admin.execute(f"create database bench_{mark} {clauses}")
        try:
            yield self.settings(mark)
        finally:
            async with connected(self.settings()) as admin:
                await admin.execute(f"drop database bench_{mark} with (force)")

    def settings(self, mark: str | None = None) -> Settings:
        """Builds a worker's settings for the database `bench_<mark>`; without a mark for the servers' own database."""
        url = self.servers.database_url
        return Settings(
            database_url=SecretStr(f"{url.rsplit('/', 1)[0]}/bench_{mark}" if mark else url),
            kafka_bootstrap_servers=self.servers.kafka_bootstrap_servers,
            consumer_group=f"bench-{mark}",
            http_port=0,
            log_format="json",
            environment="production",  # the harness makes topics and tables, as their owners do
            batch_size=self.sizes.batch_size,
        )

    # Topics

    @asynccontextmanager
    async def topics(self, settings: Settings, partitions: int = PARTITIONS) -> AsyncIterator[Settings]:
        """Yields settings with new, empty topics; deletes them at the end."""
        mark = uuid4().hex[:10]
        names = {
            "lesson_events_topic": f"lesson-events-{mark}",
            "course_catalog_topic": f"course-catalog-{mark}",
            "course_events_topic": f"course-events-{mark}",
            "learners_topic": f"learners-{mark}",
            "dead_letter_topic": f"lesson-events-{mark}.dlq",
        }
        settings = settings.model_copy(update={**names, "topic_partitions": partitions})
        await create_missing(settings)
        try:
            yield settings
        finally:
            async with admin_client(settings) as admin:
                await admin.delete_topics(list(names.values()))

    @asynccontextmanager
    async def backlog(
        self,
        settings: Settings,
        rows: Rows,
        events: int,
        *,
        order: Order = even,
        partitions: int = PARTITIONS,
        day: int = 0,
    ) -> AsyncIterator[Settings]:
        """Yields settings with new topics, and `events` events of day `day` in lesson-events.

        Each day has different events, later than those of the days before.
        """
        async with self.topics(settings, partitions) as filled:
            happened = in_time(order(rows, random.Random(day)), day)
            await publish(filled, islice(records(happened), events))
            yield filled


@dataclass(frozen=True, slots=True)
class Record:
    """Holds one event as it is published to lesson-events."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]

    def produce(
        self, producer: Producer, topic: str, on_delivery: Callable[[KafkaError | None, Message], None]
    ) -> None:
        producer.produce(topic, self.value, self.key, headers=self.headers, on_delivery=on_delivery)


def records(happened: Iterable[Happened]) -> Iterator[Record]:
    """Yields a record of each event, in binary mode, as LessonEventPublisher writes them."""
    for event, at in happened:
        headers, value = binary(event, id=str(uuid4()), time=at, source="bench")
        yield Record(str(event.user_id).encode(), value, headers)


async def breathe() -> None:
    """Lets other tasks have their turn."""
    await asyncio.sleep(0)


def librdkafka(settings: Settings, options: dict[str, int | bool]) -> Producer:
    """Creates a producer that chooses the same partitions as aiokafka's."""
    servers = {"bootstrap.servers": settings.kafka_bootstrap_servers, "partitioner": "murmur2"}
    return Producer(servers | options)


async def publish(
    settings: Settings, to_send: Iterable[Record], pause: Callable[[], Awaitable[None]] = breathe
) -> None:
    """Stores records with librdkafka, faster than the measured worker applies them; pauses after each thousand.

    Raises RuntimeError when Kafka refuses one.
    """
    # A queue that holds all: `produce` never waits, and the loop goes on between chunks.
    unbounded = {"queue.buffering.max.messages": 2_000_000, "queue.buffering.max.kbytes": 2_000_000}
    producer = librdkafka(settings, {"linger.ms": 20} | unbounded)
    refused: list[KafkaError] = []

    def stored(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            refused.append(error)

    to_send = iter(to_send)
    while chunk := list(islice(to_send, 1000)):
        for record in chunk:
            record.produce(producer, settings.lesson_events_topic, stored)
        producer.poll(0)
        await pause()
    while producer.flush(0.05):
        await breathe()
    if refused:
        raise RuntimeError(f"{len(refused)} events are not in Kafka: {refused[0]}")


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database_url.get_secret_value(), server_settings={"timezone": "UTC"})
    try:
        yield connection
    finally:
        await connection.close()


def database_of(settings: Settings) -> str:
    return settings.database_url.get_secret_value().rsplit("/", 1)[1]


async def fill(connection: asyncpg.Connection, groups: Iterable[Rows]) -> None:
    """Inserts rows lesson after lesson, as time would, and builds the key's index as if it had grown with them."""
    await connection.execute("set synchronous_commit = off")
    key = await connection.fetchval(
        "select pg_get_constraintdef(oid) from pg_constraint where conname = 'lesson_progress_pkey'"
    )
    await connection.execute("alter table lesson_progress drop constraint lesson_progress_pkey")
    for rows in groups:
        last = await connection.fetchval("select coalesce(max(id), 0) from course_progress_all")
        shape = (rows.rows, rows.lessons, rows.done, rows.per_user, rows.users, rows.courses, rows.version)
        await connection.execute(query("fill_progress"), *shape)
        for lesson in range(rows.done):
            await connection.execute(query("fill_lesson"), lesson, last)
    await connection.execute(f"alter table lesson_progress add constraint lesson_progress_pkey {key} {GROWN}")
    await connection.execute("vacuum (freeze, analyze)")
