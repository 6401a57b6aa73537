import asyncio
import gc
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError
from confluent_kafka.admin import AdminClient

from events.envelope import MalformedEvent, binary
from events.models import CourseCompletionRevoked
from events.subscriber import CourseEventSubscriber, Received
from tests.outages import MortalKafka
from tests.topics import PARTITIONS

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class BodyFailed(Exception):
    pass


@pytest.fixture
def group() -> str:
    return f"certificates-{uuid4()}"


def revoked(number: int = 1) -> CourseCompletionRevoked:
    return CourseCompletionRevoked(
        user_id=UUID(int=number),
        course_id=UUID(int=0),
        revoked_at=NOON,
        completion_number=1,
        lessons_completed=0,
        total_lessons=20,
    )


async def publish(servers: str, topic: str, ids: Iterable[str], partition: int = 0, **changes: Any) -> None:
    """One event for each id; `changes` replace headers, or the value."""
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for id in ids:
            headers, value = binary(revoked(), id=id, time=NOON, source="course-progress")
            headers = list({**dict(headers), **{k: v for k, v in changes.items() if k != "value"}}.items())
            await producer.send_and_wait(
                topic, changes.get("value", value), b"key", partition=partition, headers=headers
            )


async def committed(servers: str, group: str, topic: str, partition: int = 0) -> int | None:
    async with AIOKafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False) as consumer:
        offset: int | None = await consumer.committed(TopicPartition(topic, partition))
        return offset


async def receive(subscriber: CourseEventSubscriber, count: int) -> list[Received]:
    """Receives the next events; all except the last then count as done."""
    async with asyncio.timeout(30):
        return [await anext(subscriber) for _ in range(count)]


def ids(received: Iterable[Received]) -> list[str]:
    return [one.event_id for one in received]


# What is received


async def test_events_are_received_in_order_from_the_first(
    kafka_bootstrap_servers: str, topic: str, group: str
) -> None:
    await publish(kafka_bootstrap_servers, topic, ["1", "2", "3"])

    async with CourseEventSubscriber(kafka_bootstrap_servers, group, topic=topic) as subscriber:
        received = await receive(subscriber, 3)

    assert received == [
        Received(str(n + 1), "CourseCompletionRevoked", NOON, revoked(), partition=0, offset=n) for n in range(3)
    ]


async def test_types_of_a_later_version_and_records_without_a_value_are_skipped(
    kafka_bootstrap_servers: str, topic: str, group: str
) -> None:
    await publish(kafka_bootstrap_servers, topic, ["1"], ce_type=b"CourseRated", value=b"?")
    await publish(kafka_bootstrap_servers, topic, ["2"], value=None)
    await publish(kafka_bootstrap_servers, topic, ["3"])

    async with CourseEventSubscriber(kafka_bootstrap_servers, group, topic=topic) as subscriber:
        received = await receive(subscriber, 1)

    assert ids(received) == ["3"]
    assert await committed(kafka_bootstrap_servers, group, topic) == 2


async def test_a_malformed_event_stops_the_iteration_and_says_where_it_stands(
    kafka_bootstrap_servers: str, topic: str, group: str
) -> None:
    await publish(kafka_bootstrap_servers, topic, ["1"])
    await publish(kafka_bootstrap_servers, topic, ["2"], value=b"{}")

    for _ in range(2):
        async with CourseEventSubscriber(kafka_bootstrap_servers, group, topic=topic) as subscriber:
            with pytest.raises(MalformedEvent, match=f"{topic} partition 0 offset 1: user_id: Field required"):
                await receive(subscriber, 2)

    assert await committed(kafka_bootstrap_servers, group, topic) == 1


async def test_another_iteration_goes_on_behind_a_malformed_event(
    kafka_bootstrap_servers: str, topic: str, group: str
) -> None:
    await publish(kafka_bootstrap_servers, topic, ["1"], value=b"{}")
    await publish(kafka_bootstrap_servers, topic, ["2"])

    async with CourseEventSubscriber(kafka_bootstrap_servers, group, topic=topic) as subscriber:
        with pytest.raises(MalformedEvent):
            await receive(subscriber, 1)
        received = await receive(aiter(subscriber), 1)

    assert ids(received) == ["2"]


# What is committed


async def test_an_event_whose_body_raised_is_received_again_and_the_ones_before_are_not(
    kafka_bootstrap_servers: str, topic: str, group: str
) -> None:
    await publish(kafka_bootstrap_servers, topic, ["1", "2", "3"])

    async def fail_at_the_second() -> None:
        async with CourseEventSubscriber(kafka_bootstrap_servers, group, topic=topic) as subscriber:
            async for received in subscriber:
                if received.event_id == "2":
                    raise BodyFailed

    with pytest.raises(BodyFailed):
        await asyncio.wait_for(fail_at_the_second(), 30)
    async with CourseEventSubscriber(kafka_bootstrap_servers, group, topic=topic) as subscriber:
        again = await receive(subscriber, 2)

    assert ids(again) == ["2", "3"]


async def test_an_event_whose_body_ended_in_break_is_received_again(
    kafka_bootstrap_servers: str, topic: str, group: str
) -> None:
    await publish(kafka_bootstrap_servers, topic, ["1", "2"])

    async with (
        asyncio.timeout(30),
        CourseEventSubscriber(kafka_bootstrap_servers, group, topic=topic) as subscriber,
    ):
        async for received in subscriber:
            if received.event_id == "2":
                break

    assert await committed(kafka_bootstrap_servers, group, topic) == 1


async def test_an_event_whose_body_did_not_finish_is_received_again_by_the_same_subscriber(
    kafka_bootstrap_servers: str, topic: str, group: str
) -> None:
    await publish(kafka_bootstrap_servers, topic, ["1", "2", "3"])

    seen = []
    async with (
        asyncio.timeout(30),
        CourseEventSubscriber(kafka_bootstrap_servers, group, topic=topic) as subscriber,
    ):
        for last in ("2", "2", "3"):
            async for received in subscriber:
                seen.append(received.event_id)
                if received.event_id == last:
                    break

    assert seen == ["1", "2", "2", "2", "3"]
    assert await committed(kafka_bootstrap_servers, group, topic) == 2


async def test_what_is_done_is_committed_while_the_subscriber_waits_for_more(
    kafka_bootstrap_servers: str, topic: str, group: str
) -> None:
    await publish(kafka_bootstrap_servers, topic, ["1", "2"])

    async with CourseEventSubscriber(kafka_bootstrap_servers, group, topic=topic) as subscriber:
        await receive(subscriber, 2)
        waiting = asyncio.create_task(anext(subscriber))
        async with asyncio.timeout(30):
            while await committed(kafka_bootstrap_servers, group, topic) != 2:
                pass
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_giving_up_the_wait_for_an_event_loses_none(kafka_bootstrap_servers: str, topic: str, group: str) -> None:
    async with CourseEventSubscriber(kafka_bootstrap_servers, group, topic=topic) as subscriber:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(subscriber), 0.5)
        await publish(kafka_bootstrap_servers, topic, ["1"])
        received = await receive(subscriber, 1)

    assert ids(received) == ["1"]


async def test_when_partitions_move_every_event_is_received_by_somebody(
    kafka_bootstrap_servers: str, topic: str, group: str
) -> None:
    expected = {f"{partition}-{n}" for partition in range(PARTITIONS) for n in range(20)}
    for partition in range(PARTITIONS):
        of_partition = [f"{partition}-{n}" for n in range(20)]
        await publish(kafka_bootstrap_servers, topic, of_partition, partition)
    received: asyncio.Queue[str] = asyncio.Queue()
    go_on = asyncio.Event()

    async def work() -> None:
        async with CourseEventSubscriber(kafka_bootstrap_servers, group, topic=topic) as subscriber:
            async for one in subscriber:
                received.put_nowait(one.event_id)
                await go_on.wait()

    workers = [asyncio.create_task(work())]
    async with asyncio.timeout(60):
        seen = {await received.get()}
        workers.append(asyncio.create_task(work()))  # takes half of the partitions; each has one event in hand
        while await members(kafka_bootstrap_servers, group) != 2:
            pass
        go_on.set()
        while seen != expected:
            seen.add(await received.get())
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)

    assert all(worker.cancelled() for worker in workers)


async def members(servers: str, group: str) -> int:
    admin = AdminClient({"bootstrap.servers": servers})
    described = admin.describe_consumer_groups([group])[group]
    description = await asyncio.to_thread(described.result, 30)
    return sum(bool(member.assignment.topic_partitions) for member in description.members)


# Kafka is away


async def test_without_kafka_entering_says_so_and_leaves_nothing_open(group: str) -> None:
    with pytest.raises(KafkaConnectionError):
        async with CourseEventSubscriber("127.0.0.1:1", group):
            pass

    gc.collect()  # an open consumer would warn, and warnings are errors here


async def test_when_kafka_goes_away_leaving_ends_and_the_bodys_error_is_not_lost(
    mortal_kafka: MortalKafka, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("subscriber", "consumer"):
        monkeypatch.setattr(f"events.{module}.ANSWER_TIMEOUT_S", 1)
    servers = mortal_kafka.bootstrap_servers
    await publish(servers, "course-events", ["1"])

    async def fail_without_kafka() -> None:
        async with CourseEventSubscriber(servers, group, heartbeat_interval_ms=500) as subscriber:
            await receive(subscriber, 1)
            await mortal_kafka.die()
            with pytest.raises(TimeoutError):  # the first event is done and cannot be committed
                await asyncio.wait_for(anext(subscriber), 1)
            raise BodyFailed

    with pytest.raises(BodyFailed):
        await asyncio.wait_for(fail_without_kafka(), 60)

    left = [task for task in asyncio.all_tasks() if "aiokafka" in repr(task)]
    assert left == []
    gc.collect()  # what was left open would warn, and warnings are errors here
