import asyncio
import gc
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from events.envelope import data_of, read
from events.models import LESSON_EVENTS, CourseAccessed, LessonCompleted
from events.producer import PublishFailed
from events.publisher import LessonEventPublisher, Receipt
from tests.outages import MortalKafka

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOBODY_LISTENS = "127.0.0.1:1"


def completed(lesson_id: str = "intro") -> LessonCompleted:
    return LessonCompleted(user_id=uuid4(), course_id=uuid4(), lesson_id=lesson_id, total_lessons=20)


async def read_all(servers: str, topic: str) -> list[ConsumerRecord]:
    """Every record that the topic holds now."""
    async with (
        asyncio.timeout(30),
        AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer,
    ):
        ends = await consumer.end_offsets(consumer.assignment())
        return [await consumer.getone() for _ in range(sum(ends.values()))]


async def read_at(servers: str, receipt: Receipt) -> ConsumerRecord:
    partition = TopicPartition(receipt.topic, receipt.partition)
    async with asyncio.timeout(30), AIOKafkaConsumer(bootstrap_servers=servers) as consumer:
        consumer.assign([partition])
        consumer.seek(partition, receipt.offset)
        return await consumer.getone()


# Kafka is there


async def test_an_event_is_stored_where_its_receipt_says(kafka_bootstrap_servers: str, topic: str) -> None:
    event = completed()
    async with LessonEventPublisher(kafka_bootstrap_servers, topic=topic, source="player") as publisher:
        receipt = await publisher.publish(event, occurred_at=NOON, event_id="event-1")

    record = await read_at(kafka_bootstrap_servers, receipt)
    envelope = read(record.value, record.headers)

    assert (envelope.id, envelope.source, envelope.time) == ("event-1", "player", NOON)
    assert data_of(envelope, LESSON_EVENTS) == event
    assert receipt.event_id == "event-1"


async def test_an_event_is_keyed_by_its_user(kafka_bootstrap_servers: str, topic: str) -> None:
    event = completed()
    async with LessonEventPublisher(kafka_bootstrap_servers, topic=topic) as publisher:
        receipt = await publisher.publish(event)

    record = await read_at(kafka_bootstrap_servers, receipt)

    assert record.key == str(event.user_id).encode()


async def test_by_default_an_event_happens_now_and_has_an_id_of_its_own(
    kafka_bootstrap_servers: str, topic: str
) -> None:
    event = completed()
    before = datetime.now(UTC)
    async with LessonEventPublisher(kafka_bootstrap_servers, topic=topic) as publisher:
        first, second = await publisher.publish(event), await publisher.publish(event)

    record = await read_at(kafka_bootstrap_servers, first)

    assert before <= read(record.value, record.headers).time <= datetime.now(UTC)
    assert UUID(first.event_id) != UUID(second.event_id)


async def test_the_record_is_stamped_when_it_is_published_not_when_it_happened(
    kafka_bootstrap_servers: str, topic: str
) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    async with LessonEventPublisher(kafka_bootstrap_servers, topic=topic) as publisher:
        receipt = await publisher.publish(completed(), occurred_at=datetime(2001, 1, 1, tzinfo=UTC))

    record = await read_at(kafka_bootstrap_servers, receipt)

    assert before <= receipt.timestamp <= datetime.now(UTC)
    assert record.timestamp == round(receipt.timestamp.timestamp() * 1000)


async def test_many_events_get_their_receipts_in_order(kafka_bootstrap_servers: str, topic: str) -> None:
    events = [completed(f"lesson {number}") for number in range(1000)]
    async with LessonEventPublisher(kafka_bootstrap_servers, topic=topic) as publisher:
        receipts = await publisher.publish_many([(event, NOON, event.lesson_id) for event in events])

    records = await read_all(kafka_bootstrap_servers, topic)
    stored = {
        (record.partition, record.offset): data_of(read(record.value, record.headers), LESSON_EVENTS)
        for record in records
    }

    assert len(stored) == 1000
    assert [stored[receipt.partition, receipt.offset] for receipt in receipts] == events
    assert [receipt.event_id for receipt in receipts] == [event.lesson_id for event in events]


async def test_no_events_get_no_receipts(kafka_bootstrap_servers: str, topic: str) -> None:
    async with LessonEventPublisher(kafka_bootstrap_servers, topic=topic) as publisher:
        assert await publisher.publish_many([]) == []


async def test_a_naive_time_is_refused_before_anything_is_sent(kafka_bootstrap_servers: str, topic: str) -> None:
    naive = datetime(2026, 11, 23)
    async with LessonEventPublisher(kafka_bootstrap_servers, topic=topic) as publisher:
        with pytest.raises(ValueError, match="offset"):
            await publisher.publish(completed(), occurred_at=naive)
        with pytest.raises(ValueError, match="offset"):
            await publisher.publish_many([(completed(), NOON), (completed(), naive)])

    assert await read_all(kafka_bootstrap_servers, topic) == []


async def test_what_kafka_refuses_is_an_error_after_the_others_are_stored(
    kafka_bootstrap_servers: str, topic: str
) -> None:
    small, large = completed(), completed("😀" * 255)
    async with LessonEventPublisher(kafka_bootstrap_servers, topic=topic, max_request_size=1000) as publisher:
        with pytest.raises(PublishFailed, match="MessageSizeTooLargeError") as error:
            await publisher.publish_many([(small, NOON), (large, NOON)])

    [record] = await read_all(kafka_bootstrap_servers, topic)

    assert data_of(read(record.value, record.headers), LESSON_EVENTS) == small
    assert error.value.__cause__ is not None


async def test_giving_a_publication_up_leaves_the_publisher_usable(kafka_bootstrap_servers: str, topic: str) -> None:
    async with LessonEventPublisher(kafka_bootstrap_servers, topic=topic) as publisher:
        await publisher.publish(completed())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):  # ends the first wait, when some are under way
                await publisher.publish_many([(completed(), NOON)] * 1000)
        receipt = await publisher.publish(completed(), event_id="after")

    assert receipt.event_id == "after"


# Kafka is away


async def test_without_kafka_entering_says_so_and_leaves_nothing_open() -> None:
    with pytest.raises(PublishFailed, match=r"127\.0\.0\.1:1: Kafka cannot be reached") as error:
        async with LessonEventPublisher(NOBODY_LISTENS):
            pass

    assert error.value.__cause__ is not None
    gc.collect()  # an open producer would warn, and warnings are errors here


async def test_when_kafka_goes_away_publishing_fails_in_time_and_leaving_ends(mortal_kafka: MortalKafka) -> None:
    servers = mortal_kafka.bootstrap_servers
    event = CourseAccessed(user_id=uuid4(), course_id=uuid4())

    async with asyncio.timeout(20), LessonEventPublisher(servers, topic="t", timeout_s=2) as publisher:
        await publisher.publish(event)
        await mortal_kafka.die()
        with pytest.raises(PublishFailed, match="no acknowledgement within 2 s"):
            await publisher.publish(event)
        with pytest.raises(PublishFailed, match="Kafka cannot be reached"):
            await publisher.publish_many([(event, NOON)] * 10)

    left = [task for task in asyncio.all_tasks() if "aiokafka" in repr(task)]
    assert left == []
    gc.collect()  # what was left open or never awaited would warn, and warnings are errors here
