"""Writes to the topics of a test and reads from them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord

from events.envelope import binary
from events.models import LessonEvent, ProgressMilestoneReached
from events.producer import OutgoingRecord, Producer
from events.subscriber import CourseEventSubscriber, Received
from tests.factories import Happened
from tests.processes import eventually
from worker.kafka.topics import create_missing
from worker.settings import Settings

PARTITIONS = 4


def record(settings: Settings, event: LessonEvent, at: datetime, *, keyed: bool = True) -> OutgoingRecord:
    """Builds the record of an event, as a website publishes it."""
    headers, value = binary(event, id=str(uuid4()), time=at, source="tests")
    return OutgoingRecord(settings.lesson_events_topic, str(event.user_id).encode() if keyed else None, value, headers)


async def publish(settings: Settings, happened: list[Happened]) -> None:
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all([record(settings, event, at) for event, at in happened])


async def records_of(settings: Settings, topic: str, number: int) -> list[ConsumerRecord]:
    """Reads that many records of a topic, from its start."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=settings.kafka_bootstrap_servers, group_id=f"{uuid4()}", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            return [await consumer.getone() for _ in range(number)]
    finally:
        await consumer.stop()


async def records_in(settings: Settings, topic: str) -> int:
    """Counts the records that were ever written to a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, n) for n in range(settings.topic_partitions)])
    finally:
        await consumer.stop()
    return sum(ends.values())


@asynccontextmanager
async def course_events(settings: Settings) -> AsyncIterator[CourseEventSubscriber]:
    """Subscribes to course events from the first one on, for at most half a minute."""
    servers, topic = settings.kafka_bootstrap_servers, settings.course_events_topic
    async with asyncio.timeout(30), CourseEventSubscriber(servers, f"{uuid4()}", topic=topic) as them:
        yield them


async def certificates(settings: Settings, number: int) -> dict[str, Received]:
    """Reads course events but milestones until there are that many. Returns them by id, in order of arrival."""
    received: dict[str, Received] = {}
    async with course_events(settings) as them:
        async for one in them:
            if isinstance(one.event, ProgressMilestoneReached):
                continue
            received.setdefault(one.event_id, one)
            if len(received) == number:
                break
    return received


async def recreate(settings: Settings) -> None:
    """Deletes the topic of lesson events and creates it again, with a log that begins at 0."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    await admin.delete_topics([settings.lesson_events_topic])

    async def gone() -> bool:
        return settings.lesson_events_topic not in await admin.list_topics()

    async def there() -> bool:
        return not await gone()

    await eventually(gone)
    await create_missing(settings)
    await eventually(there)
    await admin.close()
