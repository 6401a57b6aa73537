"""A topic for each test, and a Kafka that can go away."""

import asyncio
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.outages import MortalKafka
from tests.topics import PARTITIONS


@pytest.fixture
async def topic(kafka_bootstrap_servers: str) -> str:
    name = f"events-{uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap_servers})
    created = admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name]
    await asyncio.to_thread(created.result, 30)
    return name


@pytest.fixture
def mortal_kafka() -> MortalKafka:
    return MortalKafka()
