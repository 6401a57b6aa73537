"""What other clients' producers write, librdkafka's here, is read through aiokafka."""

import asyncio
import json
from collections.abc import Callable
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from confluent_kafka import Producer

from events.envelope import data_of, read
from events.models import LESSON_EVENTS, LessonCompleted

EVENTS = [
    LessonCompleted(user_id=uuid4(), course_id=uuid4(), lesson_id=f"lesson {number}", total_lessons=200)
    for number in range(200)
]
ENVELOPE = {
    "specversion": "1.0",
    "id": "event-1",
    "source": "player",
    "type": "LessonCompleted",
    "time": "2026-11-23T12:00:00.123456789Z",
}
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]

Written = tuple[bytes, list[tuple[str, bytes]]]


def in_binary_mode(event: LessonCompleted) -> Written:
    headers = [(f"ce_{name}", text.encode()) for name, text in ENVELOPE.items()]
    return event.model_dump_json().encode(), [*headers, ("content-type", b"application/json")]


def structured(event: LessonCompleted) -> Written:
    value = json.dumps({**ENVELOPE, "data": json.loads(event.model_dump_json())}).encode()
    return value, [("content-type", b"application/cloudevents+json; charset=UTF-8")]


def bare(event: LessonCompleted) -> Written:
    return json.dumps({**ENVELOPE, **json.loads(event.model_dump_json())}).encode(), []


async def read_all(servers: str, topic: str, count: int) -> list[ConsumerRecord]:
    async with (
        asyncio.timeout(60),
        AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer,
    ):
        return [await consumer.getone() for _ in range(count)]


@pytest.mark.parametrize("form", [in_binary_mode, structured, bare])
@pytest.mark.parametrize("codec", CODECS)
async def test_events_of_another_client_are_read_in_every_form_and_codec(
    kafka_bootstrap_servers: str, topic: str, codec: str, form: Callable[[LessonCompleted], Written]
) -> None:
    # Lingers, so that a batch is large enough to be compressed.
    producer = Producer({"bootstrap.servers": kafka_bootstrap_servers, "compression.type": codec, "linger.ms": 200})
    for event in EVENTS:
        value, headers = form(event)
        producer.produce(topic, value, str(event.user_id), headers=headers)
    unsent = await asyncio.to_thread(producer.flush, 60)

    records = await read_all(kafka_bootstrap_servers, topic, len(EVENTS))
    events = [data_of(read(record.value, record.headers), LESSON_EVENTS) for record in records]

    assert unsent == 0
    assert sorted(events, key=str) == sorted(EVENTS, key=str)


async def test_a_binary_header_of_another_system_hinders_nobody(kafka_bootstrap_servers: str, topic: str) -> None:
    value, headers = in_binary_mode(EVENTS[0])
    producer = Producer({"bootstrap.servers": kafka_bootstrap_servers})
    producer.produce(topic, value, headers=[*headers, ("b3", b"\xff\x00"), ("empty", None), ("b3", b"")])
    await asyncio.to_thread(producer.flush, 60)

    [record] = await read_all(kafka_bootstrap_servers, topic, 1)

    assert data_of(read(record.value, record.headers), LESSON_EVENTS) == EVENTS[0]
