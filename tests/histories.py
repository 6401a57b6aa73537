"""What learners did, on its way through topics and tables: for tests of whole workers."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord

from events.envelope import binary
from events.models import CourseAccessed, LessonCompleted, LessonEvent, LessonUncompleted, ProgressReset
from events.producer import OutgoingRecord, Producer
from events.subscriber import CourseEventSubscriber, Received
from tests.processes import eventually
from worker.kafka.topics import create_missing
from worker.settings import Settings

NOW = datetime.now(UTC).replace(microsecond=0)
Happened = tuple[LessonEvent, datetime]


def histories(learners: int, seed: int) -> list[Happened]:
    """Events of many learners: late, out of order and repeated, with un-completions and resets."""
    rng = random.Random(seed)
    courses = {UUID(int=rng.getrandbits(128)): rng.choice([1, 2, 5]) for _ in range(4)}
    happened: list[Happened] = []
    for _ in range(learners):
        user, course = UUID(int=rng.getrandbits(128)), rng.choice(list(courses))
        for _ in range(rng.randint(1, 20)):
            happened.append((an_event(rng, user, course, courses[course]), NOW - timedelta(hours=rng.randint(0, 99))))
    happened += rng.sample(happened, len(happened) // 5)
    rng.shuffle(happened)
    return happened


def an_event(rng: random.Random, user: UUID, course: UUID, total: int) -> LessonEvent:
    lesson = f"lesson-{rng.randrange(total)}"
    kind = rng.choices([LessonCompleted, LessonUncompleted, CourseAccessed, ProgressReset], [70, 8, 20, 2])[0]
    if kind is CourseAccessed:
        return CourseAccessed(user_id=user, course_id=course, lesson_id=lesson)
    if kind is ProgressReset:
        return ProgressReset(user_id=user, course_id=course)
    return kind(user_id=user, course_id=course, lesson_id=lesson, total_lessons=total)


def record(settings: Settings, event: LessonEvent, at: datetime, *, keyed: bool = True) -> OutgoingRecord:
    headers, value = binary(event, id=str(uuid4()), time=at, source="tests")
    return OutgoingRecord(settings.lesson_events_topic, str(event.user_id).encode() if keyed else None, value, headers)


async def publish(settings: Settings, happened: list[Happened]) -> None:
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all([record(settings, event, at) for event, at in happened])


async def records_of(settings: Settings, topic: str, number: int) -> list[ConsumerRecord]:
    """That many records of a topic, from its start."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=settings.kafka_bootstrap_servers, group_id=f"{uuid4()}", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            return [await consumer.getone() for _ in range(number)]
    finally:
        await consumer.stop()


@asynccontextmanager
async def course_events(settings: Settings) -> AsyncIterator[CourseEventSubscriber]:
    """From the first one on, for half a minute."""
    servers, topic = settings.kafka_bootstrap_servers, settings.course_events_topic
    async with asyncio.timeout(30), CourseEventSubscriber(servers, f"{uuid4()}", topic=topic) as them:
        yield them


async def certificates(settings: Settings, number: int) -> dict[str, Received]:
    """Course events by id, in order of arrival, until there are that many."""
    received: dict[str, Received] = {}
    async with course_events(settings) as them:
        async for one in them:
            received.setdefault(one.event_id, one)
            if len(received) == number:
                break
    return received


async def transitions(connection: asyncpg.Connection) -> int:
    """How many completions and revocations there were, by the rows."""
    numbers = (
        "select coalesce(sum(completion_number * 2 - (completed_at is not null)::integer), 0) from course_progress_all"
    )
    return int(await connection.fetchval(numbers))


async def nothing_waits(connection: asyncpg.Connection) -> bool:
    return await connection.fetchval("select count(*) from outbox") == 0


async def recreate(settings: Settings) -> None:
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
