"""A producer goes on after what Kafka refused."""

import time

import pytest

from events.producer import OutgoingRecord, Producer, PublishFailed


async def test_a_refused_record_does_not_make_kafka_refuse_the_next(kafka_bootstrap_servers: str, topic: str) -> None:
    three_days_ahead = int(time.time() + 3 * 24 * 3600) * 1000
    async with Producer(kafka_bootstrap_servers) as producer:
        await producer.send_all([OutgoingRecord(topic, b"k", b"1", [])])
        with pytest.raises(PublishFailed):
            await producer.send_all([OutgoingRecord(topic, b"k", b"2", [], three_days_ahead)])

        [stored] = await producer.send_all([OutgoingRecord(topic, b"k", b"3", [])])

    assert stored.offset == 1
