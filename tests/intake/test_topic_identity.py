"""A topic that was deleted and created anew is told from the old one, however long its log is."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError

from events.models import CourseAccessed
from tests.histories import NOW, publish, recreate
from tests.processes import Workers, eventually
from worker.devstack import kafka_mock
from worker.errors import TopicRecreated
from worker.intake.topic_identity import TopicIdentity
from worker.kafka.client import client
from worker.kafka.topic_id import topic_id
from worker.progress.store import Store
from worker.settings import Settings

USER = uuid4()  # one partition


@pytest.fixture
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client(settings))
    await admin.start()
    yield admin
    await admin.close()


async def accesses(settings: Settings, number: int) -> None:
    await publish(settings, [(CourseAccessed(user_id=USER, course_id=uuid4()), NOW) for _ in range(number)])


async def test_a_topic_keeps_its_id_until_it_is_created_anew(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    first = await topic_id(admin._client, settings.lesson_events_topic)
    again = await topic_id(admin._client, settings.lesson_events_topic)
    await recreate(settings)

    async def another() -> bool:  # the broker learns of the new one a moment later
        with suppress(UnknownTopicOrPartitionError):
            return await topic_id(admin._client, settings.lesson_events_topic) not in (None, first)
        return False

    assert first is not None
    assert first == again
    await eventually(another)
    with pytest.raises(UnknownTopicOrPartitionError):
        await topic_id(admin._client, "no-such-topic")


async def test_a_broker_older_than_ids_tells_none(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await topic_id(admin._client, settings.lesson_events_topic)
    for connection in admin._client._conns.values():
        connection._versions[3] = (0, 9)  # what such a broker says of its Metadata

    assert await topic_id(admin._client, settings.lesson_events_topic) is None


async def test_the_demos_mock_broker_can_be_asked(settings: Settings) -> None:
    with kafka_mock.run_broker(print) as servers:
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        await admin.start()
        await topic_id(admin._client, "lesson-events")
        await admin.close()


async def test_a_new_topic_is_accepted_where_no_offset_is_stored(
    settings: Settings, admin: AIOKafkaAdminClient, connection: asyncpg.Connection
) -> None:
    store = Store(settings)
    identity = TopicIdentity(settings)
    await identity.check(admin._client, store)
    await recreate(settings)

    await identity.check(admin._client, store)

    await connection.execute("insert into consumed_offset values ($1, $2, 0, 5)", *names(settings))
    await recreate(settings)
    for asking in (
        identity.check(admin._client, store),
        identity.check_again(admin._client),
        TopicIdentity(settings).check(admin._client, store),
    ):
        with pytest.raises(TopicRecreated, match="rewind --to earliest"):
            await asking
    await store.close()


def names(settings: Settings) -> tuple[str, str]:
    return settings.consumer_group, settings.lesson_events_topic


async def test_a_recreated_topic_that_has_grown_beyond_the_stored_offset_stops_a_worker(
    settings: Settings, workers: Workers
) -> None:
    await accesses(settings, 20)
    assert workers.start("--until-idle").wait() == 0
    await recreate(settings)
    await accesses(settings, 50)

    worker = workers.start()

    assert worker.wait() == 1
    assert_stopped_for_another_topic(worker.log)


async def test_a_topic_recreated_under_a_worker_with_nothing_to_read_stops_it(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await accesses(settings, 20)
    worker = workers.start()

    async def applied() -> bool:
        return await connection.fetchval("select count(*) from course_progress") == 20

    await eventually(applied)
    await recreate(settings)

    assert worker.wait() == 1
    assert_stopped_for_another_topic(worker.log)


def assert_stopped_for_another_topic(log: str) -> None:
    last = json.loads(log.splitlines()[-1])
    assert last["error"] == "TopicRecreated"
    assert "course-progress rewind --to earliest" in last["reason"]
