"""The relay: in order, by one worker, and nothing is deleted before Kafka has it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from aiokafka import TopicPartition
from prometheus_client import REGISTRY

from events.producer import Producer, PublishFailed
from tests.databases import put
from tests.factories import USER
from tests.processes import eventually
from tests.topics import course_events
from worker.outbox.relay import Relay
from worker.settings import Settings


@asynccontextmanager
async def relaying(settings: Settings, producer: Producer, *owned: TopicPartition) -> AsyncIterator[Relay]:
    relay = Relay(settings, producer, owned=lambda: set(owned))
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


async def received(settings: Settings, number: int) -> list[tuple[str, int]]:
    got: list[tuple[str, int]] = []
    async with course_events(settings) as them:
        async for one in them:
            assert one.event.user_id == USER
            got.append((one.type, one.event.completion_number))
            if len(got) == number:
                break
    return got


@pytest.fixture
async def producer(kafka_bootstrap_servers: str) -> AsyncIterator[Producer]:
    async with Producer(kafka_bootstrap_servers) as producer:
        yield producer


async def is_empty(connection: asyncpg.Connection) -> bool:
    return bool(await connection.fetchval("select count(*) from outbox") == 0)


async def lock_elsewhere(connection: asyncpg.Connection, tp: TopicPartition) -> None:
    """Holds the lock that the relay of another worker would have."""
    await connection.execute("select pg_advisory_lock(hashtextextended($1, 0))", f"{tp.topic}/{tp.partition}")


@pytest.fixture
def mine(settings: Settings) -> TopicPartition:
    return TopicPartition(settings.lesson_events_topic, 0)


async def test_a_users_events_are_published_in_order_and_deleted(
    settings: Settings, connection: asyncpg.Connection, producer: Producer, mine: TopicPartition
) -> None:
    await put(connection, mine, range(1, 400))

    async with relaying(settings, producer, mine):
        await eventually(lambda: is_empty(connection))

    wanted = [(name, n) for n in range(1, 400) for name in ("CourseCompleted", "CourseCompletionRevoked")]
    assert await received(settings, len(wanted)) == wanted


async def test_a_row_waits_for_an_older_one_of_its_learner_that_another_worker_publishes(
    settings: Settings, connection: asyncpg.Connection, producer: Producer, mine: TopicPartition
) -> None:
    theirs = TopicPartition(mine.topic, 1)
    await lock_elsewhere(connection, theirs)
    await put(connection, mine, range(1, 2))
    await put(connection, theirs, range(2, 3))
    await put(connection, mine, range(3, 4))

    async def left(*numbers: int) -> bool:
        rows = await connection.fetch(
            "select distinct (payload->>'completion_number')::int as n from outbox order by n"
        )
        return [row["n"] for row in rows] == list(numbers)

    async with relaying(settings, producer, mine) as relay:
        await eventually(lambda: left(2, 3))
        relay.nudge()
        await asyncio.sleep(0.5)
        assert await left(2, 3)
        await connection.execute("delete from outbox where source_partition = 1")
        await eventually(left)

    wanted = [(name, n) for n in (1, 3) for name in ("CourseCompleted", "CourseCompletionRevoked")]
    assert await received(settings, len(wanted)) == wanted


async def test_one_learners_rows_of_several_partitions_of_one_worker_leave_in_one_round_in_order(
    settings: Settings, connection: asyncpg.Connection, producer: Producer, mine: TopicPartition
) -> None:
    other = TopicPartition(mine.topic, 1)
    for n in range(1, 20):
        await put(connection, (other, mine)[n % 2], range(n, n + 1))

    async with relaying(settings, producer, mine, other):
        await eventually(lambda: is_empty(connection))

    wanted = [(name, n) for n in range(1, 20) for name in ("CourseCompleted", "CourseCompletionRevoked")]
    assert await received(settings, len(wanted)) == wanted


async def test_rows_of_a_partition_that_nobody_owns_are_published_once_they_are_old(
    settings: Settings, connection: asyncpg.Connection, producer: Producer
) -> None:
    gone = [TopicPartition(settings.lesson_events_topic, 7), TopicPartition("renamed", 0)]
    for n, tp in enumerate(gone, start=1):
        await put(connection, tp, range(n, n + 1))
    await put(connection, TopicPartition("young", 0), range(9, 10))
    await connection.execute("update outbox set created_at = now() - interval '1 minute' where source_topic <> 'young'")

    async def only_the_young_are_left() -> bool:
        topics = await connection.fetch("select distinct source_topic from outbox")
        return [row["source_topic"] for row in topics] == ["young"]

    async with relaying(settings, producer), relaying(settings, producer):
        await eventually(only_the_young_are_left)

    wanted = [(name, n) for n in (1, 2) for name in ("CourseCompleted", "CourseCompletionRevoked")]
    assert await received(settings, len(wanted)) == wanted


async def test_rows_that_course_events_caused_need_not_be_old_because_no_worker_owns_their_partitions(
    settings: Settings, connection: asyncpg.Connection, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.outbox.relay.ORPHANED_AFTER_S", 3600.0)
    mine = TopicPartition(settings.lesson_events_topic, 0)
    caused = TopicPartition(settings.course_events_topic, 3)
    for n, tp in enumerate((mine, caused, mine, caused), start=1):
        await put(connection, tp, range(n, n + 1))
    await put(connection, TopicPartition(settings.lesson_events_topic, 7), range(5, 6))

    async def only_the_orphan_is_left() -> bool:
        return [row[0] for row in await connection.fetch("select distinct source_partition from outbox")] == [7]

    async with relaying(settings, producer, mine), relaying(settings, producer):
        await eventually(only_the_orphan_is_left)

    wanted = [(name, n) for n in range(1, 5) for name in ("CourseCompleted", "CourseCompletionRevoked")]
    assert await received(settings, len(wanted)) == wanted


async def test_of_two_that_believe_to_own_a_partition_one_relays_and_the_other_takes_over(
    settings: Settings, connection: asyncpg.Connection, producer: Producer, mine: TopicPartition
) -> None:
    async with relaying(settings, producer, mine) as first, relaying(settings, producer, mine) as second:
        for n in range(1, 30):
            await put(connection, mine, range(n, n + 1))
            first.nudge()
            second.nudge()
        await eventually(lambda: is_empty(connection))
        await first.stop()
        await put(connection, mine, range(30, 31))
        await eventually(lambda: is_empty(connection))

    wanted = [(name, n) for n in range(1, 31) for name in ("CourseCompleted", "CourseCompletionRevoked")]
    assert await received(settings, len(wanted)) == wanted


class Refusing(Producer):
    """Kafka acknowledges nothing."""

    async def send_all(self, records: object) -> list[object]:
        self.asked = True
        raise PublishFailed("course-events", "not acknowledged")


async def test_what_kafka_did_not_acknowledge_stays(
    settings: Settings, connection: asyncpg.Connection, mine: TopicPartition
) -> None:
    await put(connection, mine, range(1, 2))
    producer = Refusing(settings.kafka_bootstrap_servers)

    async def asked() -> bool:
        return hasattr(producer, "asked")

    async with relaying(settings, producer, mine):
        await eventually(asked)

    assert await connection.fetchval("select count(*) from outbox") == 2


async def test_rows_that_another_worker_does_not_get_rid_of_are_seen_by_everybody(
    settings: Settings, connection: asyncpg.Connection, producer: Producer, mine: TopicPartition
) -> None:
    theirs = TopicPartition(mine.topic, 1)
    await lock_elsewhere(connection, theirs)
    await put(connection, theirs, range(1, 4))
    await connection.execute("update outbox set created_at = now() - interval '1 hour'")

    def shown(name: str, whose: str) -> float:
        return REGISTRY.get_sample_value(f"progress_outbox_{name}", {"whose": whose}) or 0

    async def six_of_all() -> bool:
        return shown("rows", "all") == 6

    async with relaying(settings, producer, mine):
        await eventually(six_of_all)

    assert (shown("rows", "mine"), shown("oldest_seconds", "mine")) == (0, 0)
    assert 3600 <= shown("oldest_seconds", "all") < 3700


async def test_the_rows_of_its_own_partitions_are_counted_with_their_age(
    settings: Settings, connection: asyncpg.Connection, mine: TopicPartition
) -> None:
    await put(connection, mine, range(1, 3))
    await connection.execute("update outbox set created_at = now() - interval '1 hour'")

    async def four_of_mine() -> bool:
        return REGISTRY.get_sample_value("progress_outbox_rows", {"whose": "mine"}) == 4

    async with relaying(settings, Refusing(settings.kafka_bootstrap_servers), mine):
        await eventually(four_of_mine)

    assert (REGISTRY.get_sample_value("progress_outbox_oldest_seconds", {"whose": "mine"}) or 0) >= 3600


async def test_a_session_that_the_server_ends_is_opened_again(
    settings: Settings, connection: asyncpg.Connection, producer: Producer, mine: TopicPartition
) -> None:
    locks = (
        "select pid from pg_locks join pg_database d on d.oid = pg_locks.database "
        "where locktype = 'advisory' and datname = current_database()"
    )

    async def locked() -> bool:
        return bool(await connection.fetch(locks))

    async with relaying(settings, producer, mine):
        await eventually(locked)
        await connection.execute(f"select pg_terminate_backend(pid) from ({locks}) as holders")
        await put(connection, mine, range(1, 2))
        await eventually(lambda: is_empty(connection))

    assert len(await received(settings, 2)) == 2
