"""A topic for each test, and a Kafka that can go away."""

import asyncio
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4


@pytest.fixture
async def topic(kafka_bootstrap_servers: str) -> str:
    name = f"events-{uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap_servers})
    created = admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name]
    await asyncio.to_thread(created.result, 30)
    return name


class MortalKafka:
    """A broker in the memory of this process. No test of delivery: it only serves to go away."""

    def __init__(self) -> None:
        self._brokers = [AdminClient({"bootstrap.servers": "", "test.mock.num.brokers": 1})]
        broker = next(iter(self._brokers[0].list_topics(timeout=10).brokers.values()))
        self.bootstrap_servers = f"{broker.host}:{broker.port}"

    async def die(self) -> None:
        await asyncio.to_thread(self._brokers.clear)


@pytest.fixture
def mortal_kafka() -> MortalKafka:
    return MortalKafka()
