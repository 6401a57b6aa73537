"""Whether workers have applied what Kafka has: without a worker, over stored offsets that the test moves."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from events.models import CourseAccessed
from events.publisher import LessonEventPublisher, Receipt
from tests.processes import eventually
from worker.kafka.log_ends import fetch_log_ends
from worker.learners import applied, current_topic
from worker.learners.applied import AppliedOffsets
from worker.learners.reads import ProgressReader
from worker.postgres.pool import connect_pool
from worker.settings import Settings

OFFSET = "insert into consumed_offset (consumer_group, topic, partition, next_offset) values ($1, $2, $3, $4)"


@pytest.fixture
async def publisher(settings: Settings) -> AsyncIterator[LessonEventPublisher]:
    servers = settings.kafka_bootstrap_servers
    async with LessonEventPublisher(servers, topic=settings.lesson_events_topic) as publisher:
        yield publisher


@pytest.fixture
async def offsets(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AppliedOffsets]:
    monkeypatch.setattr(current_topic, "ASK_EVERY_S", 0)
    pool = await connect_pool(settings)
    yield AppliedOffsets(settings.model_copy(update={"apply_deadline_s": 30}), ProgressReader(pool))
    await pool.close()


async def publish(publisher: LessonEventPublisher) -> Receipt:
    return await publisher.publish(CourseAccessed(user_id=uuid4(), course_id=uuid4()))


async def is_caught_up(offsets: AppliedOffsets, publisher: LessonEventPublisher) -> bool:
    """Tells whether all is applied, with time for a slow broker where it is."""
    assert publisher.client is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applied, "CATCH_UP_WITHIN_S", 30)
        return await offsets.catch_up(publisher.client)


async def is_behind(offsets: AppliedOffsets, publisher: LessonEventPublisher) -> bool:
    assert publisher.client is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applied, "CATCH_UP_WITHIN_S", 0.5)
        return not await offsets.catch_up(publisher.client)


async def test_an_empty_topic_is_caught_up_with(offsets: AppliedOffsets, publisher: LessonEventPublisher) -> None:
    async def caught_up() -> bool:  # as soon as each partition of the new topic has its leader
        return await is_caught_up(offsets, publisher)

    await eventually(caught_up)


async def test_a_topic_is_caught_up_with_when_every_partition_is(
    offsets: AppliedOffsets, publisher: LessonEventPublisher, settings: Settings, connection: asyncpg.Connection
) -> None:
    stored = [await publish(publisher) for _ in range(20)]
    assert publisher.client is not None
    ends = await fetch_log_ends(publisher.client, settings.lesson_events_topic)
    partitions = sorted({receipt.partition for receipt in stored})
    place = settings.consumer_group, settings.lesson_events_topic
    found = [await is_behind(offsets, publisher)]
    for partition in partitions:
        await connection.execute(OFFSET, *place, partition, max(r.offset for r in stored if r.partition == partition))
        found.append(await is_behind(offsets, publisher))
    await connection.execute("update consumed_offset set next_offset = next_offset + 1")

    assert ends is not None
    assert sum(ends.values()) == len(stored)
    assert sorted(ends) == list(range(settings.topic_partitions))
    assert len(partitions) > 1
    assert found == [True] * (1 + len(partitions))
    assert await is_caught_up(offsets, publisher)


async def test_stored_offsets_of_a_deleted_topic_prove_nothing(
    offsets: AppliedOffsets, publisher: LessonEventPublisher, settings: Settings, connection: asyncpg.Connection
) -> None:
    place = settings.consumer_group, settings.lesson_events_topic
    await connection.execute("insert into known_topic values ($1, $2, $3)", *place, uuid4())

    assert await is_behind(offsets, publisher)


async def test_a_topic_that_is_not_there_is_not_caught_up_with(
    settings: Settings, publisher: LessonEventPublisher, offsets: AppliedOffsets
) -> None:
    offsets._settings = settings.model_copy(update={"lesson_events_topic": f"none-{uuid4().hex}"})

    assert await is_behind(offsets, publisher)
