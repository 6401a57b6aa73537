"""A producer goes on after what Kafka refused."""

import asyncio
import gc
import time
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from events.producer import OutgoingRecord, Producer, PublishFailed
from tests.outages import own_broker


async def test_a_refused_record_does_not_make_kafka_refuse_the_next(kafka_bootstrap_servers: str, topic: str) -> None:
    three_days_ahead = int(time.time() + 3 * 24 * 3600) * 1000
    async with Producer(kafka_bootstrap_servers) as producer:
        await producer.send_all([OutgoingRecord(topic, b"k", b"1", [])])
        with pytest.raises(PublishFailed):
            await producer.send_all([OutgoingRecord(topic, b"k", b"2", [], three_days_ahead)])

        [stored] = await producer.send_all([OutgoingRecord(topic, b"k", b"3", [])])

    assert stored.offset == 1


@pytest.mark.processes
async def test_what_is_given_up_while_kafka_is_away_is_complained_of_by_its_error_alone() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    with own_broker() as broker:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
        await admin.start()
        await admin.create_topics([NewTopic("given-up", 1, 1)])
        await admin.close()
        async with Producer(broker.address, timeout_s=2) as producer:
            await producer.send_all([OutgoingRecord("given-up", None, b"stored", [])])
            broker.stop()
            with pytest.raises(PublishFailed):
                await producer.send_all([OutgoingRecord("given-up", None, b"not", [])])
            broker.go_on()
    gc.collect()
    asyncio.get_running_loop().set_exception_handler(None)

    assert complaints == []
