"""A topic that was deleted and created again is told from the old one, however long its log is."""

from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError

from tests.processes import eventually
from tests.topics import recreate
from worker.decode import decode
from worker.devstack import kafka_mock
from worker.errors import TopicRecreated
from worker.intake.topic_identity import TopicIdentity
from worker.kafka.client import client_arguments
from worker.kafka.topic_id import fetch_topic_id
from worker.progress.store import Store
from worker.settings import Settings
from worker.stream.stream import Stream


@pytest.fixture
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    await admin.start()
    yield admin
    await admin.close()


async def test_a_topic_keeps_its_id_until_it_is_created_anew(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    first = await fetch_topic_id(admin._client, settings.lesson_events_topic)
    again = await fetch_topic_id(admin._client, settings.lesson_events_topic)
    await recreate(settings)

    async def another() -> bool:  # the broker learns of the new one a moment later
        with suppress(UnknownTopicOrPartitionError):
            return await fetch_topic_id(admin._client, settings.lesson_events_topic) not in (None, first)
        return False

    assert first is not None
    assert first == again
    await eventually(another)
    with pytest.raises(UnknownTopicOrPartitionError):
        await fetch_topic_id(admin._client, "no-such-topic")


async def test_a_broker_older_than_ids_tells_none(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await fetch_topic_id(admin._client, settings.lesson_events_topic)
    for connection in admin._client._conns.values():
        connection._versions[3] = (0, 9)  # what such a broker says of its Metadata

    assert await fetch_topic_id(admin._client, settings.lesson_events_topic) is None


async def test_the_demos_mock_broker_can_be_asked(settings: Settings) -> None:
    with kafka_mock.run_broker(print) as servers:
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        await admin.start()
        await fetch_topic_id(admin._client, "lesson-events")
        await admin.close()


async def test_a_new_topic_is_accepted_where_no_offset_is_stored(
    settings: Settings, admin: AIOKafkaAdminClient, connection: asyncpg.Connection
) -> None:
    store = Store(settings)
    stream = Stream(settings.lesson_events_topic, settings.consumer_group, decode)
    identity = TopicIdentity(stream)
    await identity.check(admin._client, store)
    await recreate(settings)

    await identity.check(admin._client, store)

    await connection.execute("insert into consumed_offset values ($1, $2, 0, 5)", *names(settings))
    await recreate(settings)
    for asking in (
        identity.check(admin._client, store),
        identity.check_again(admin._client),
        TopicIdentity(Stream(settings.lesson_events_topic, settings.consumer_group, decode)).check(
            admin._client, store
        ),
    ):
        with pytest.raises(TopicRecreated, match="rewind --to earliest"):
            await asking
    await store.close()


def names(settings: Settings) -> tuple[str, str]:
    return settings.consumer_group, settings.lesson_events_topic
