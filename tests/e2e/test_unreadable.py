"""A record that aiokafka cannot read costs nobody else anything, and is not thrown away."""

import time
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from events.models import CourseAccessed
from tests.factories import NOW, histories
from tests.processes import Workers, eventually
from tests.topics import publish, record, records_in, records_of
from worker.progress.reference import expected, stored, wrong_rows
from worker.settings import Settings

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


class NotUtf8(str):
    """A header's name as some producers in other languages write it."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"caf\xe9"


async def send_bad_header(settings: Settings, partition: int, codec: str = "none") -> None:
    """Stores five records in one batch, of which the third has a header whose name is not UTF-8."""
    batch = _DefaultRecordBatchBuilderPy(2, CODECS[codec], 0, -1, -1, -1, 1 << 20)
    for n in range(5):
        one = record(settings, CourseAccessed(user_id=uuid4(), course_id=uuid4()), NOW)
        added = [(NotUtf8(), b"\x01"), ("null", None)] if n == 2 else []
        batch.append(n, int(time.time() * 1000), b"key", one.value, [*one.headers, *added])
    stored = bytes(batch.build())

    async def is_stored() -> bool:  # not by a broker that does not know yet that it leads a new topic
        return await store(settings, partition, stored)

    await eventually(is_stored)


async def store(settings: Settings, partition: int, batch: bytes) -> bool:
    client = AIOKafkaClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await client.bootstrap()
    try:
        client.set_topics([settings.lesson_events_topic])
        await client.force_metadata_update()
        leader = client.cluster.leader_for_partition(TopicPartition(settings.lesson_events_topic, partition))
        request = ProduceRequest(None, -1, 10_000, [(settings.lesson_events_topic, [(partition, batch)])])
        response = await client.send(leader, request)
    finally:
        await client.close()
    return bool(response.topics[0][1][0][1] == 0)


@pytest.mark.parametrize("codec", CODECS)
async def test_a_header_whose_name_is_not_utf8_makes_a_dead_letter_of_its_record_alone(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, codec: str
) -> None:
    await send_bad_header(settings, partition=1, codec=codec)

    assert workers.start("--until-idle").wait() == 0

    [letter] = await records_of(settings, settings.dead_letter_topic, 1)
    headers = dict(letter.headers)
    assert (letter.key, headers["caf\\xe9"], headers["null"], headers["ce_type"]) == (
        b"key",
        b"\x01",
        None,
        b"CourseAccessed",
    )
    assert (headers["dlq_partition"], headers["dlq_offset"]) == (b"1", b"2")
    assert await connection.fetchval("select count(*) from course_progress") == 4


async def test_such_records_amid_others_in_every_partition_lose_none_of_them(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    happened = histories(learners=100, seed=31)
    for n in range(8):
        await publish(settings, happened[n::8])
        await send_bad_header(settings, partition=n % settings.topic_partitions)
        await send_bad_header(settings, partition=(n + 1) % settings.topic_partitions)

    assert workers.start("--until-idle", batch_size=50).wait() == 0

    rows = {key: row for key, row in (await stored(connection)).items() if key in expected(happened)}
    assert wrong_rows(expected(happened), rows) == []
    assert await connection.fetchval("select count(*) from course_progress") == len(rows) + 8 * 2 * 4
    assert await records_in(settings, settings.dead_letter_topic) == 8 * 2
