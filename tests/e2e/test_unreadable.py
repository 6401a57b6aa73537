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
from worker.kafka.inflation import LARGEST_BATCH
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.settings import Settings
from worker.stream.cut_record import KEPT_VALUE, LARGEST_RECORD

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
    await store_soon(settings, partition, bytes(batch.build()))


async def store_soon(settings: Settings, partition: int, batch: bytes) -> None:
    async def is_stored() -> bool:  # not by a broker that does not know yet that it leads a new topic
        return await store(settings, partition, batch)

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

    rows = {key: row for key, row in (await read_rows(connection)).items() if key in expect_rows(happened)}
    assert find_wrong_rows(expect_rows(happened), rows) == []
    assert await connection.fetchval("select count(*) from course_progress") == len(rows) + 8 * 2 * 4
    assert await records_in(settings, settings.dead_letter_topic) == 8 * 2


async def test_what_is_too_large_is_a_dead_letter_and_what_stands_behind_it_is_applied(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    """A batch that inflates beyond 64 MiB, a record of more than 2 MiB, and one whose headers are."""

    def stored_in(value: bytes, headers: list[tuple[str, bytes]]) -> bytes:
        batch = _DefaultRecordBatchBuilderPy(2, CODECS["zstd"], 0, -1, -1, -1, 1 << 40)
        batch.append(0, int(time.time() * 1000), b"key", value, headers)
        return bytes(batch.build())

    good = record(settings, CourseAccessed(user_id=uuid4(), course_id=uuid4()), NOW)
    whole = [
        (b" " * (LARGEST_BATCH + 1), []),
        (b"[" * (LARGEST_RECORD + 1), []),
        (b"{", [("x", bytes(LARGEST_RECORD))]),
    ]
    for value, headers in [*whole, (b" " * 1_900_000 + good.value, good.headers)]:
        await store_soon(settings, 1, stored_in(value, headers))

    assert workers.start("--until-idle").wait() == 0

    letters = sorted(
        await records_of(settings, settings.dead_letter_topic, 3), key=lambda one: dict(one.headers)["dlq_offset"]
    )
    assert {dict(letter.headers)["dlq_kind"] for letter in letters} == {b"too-large"}
    assert [dict(letter.headers)["dlq_truncated"] for letter in letters] == [
        b"batch",
        b"%d" % (LARGEST_RECORD + 1),
        b"headers %d" % (LARGEST_RECORD + 1),
    ]
    assert [letter.value for letter in letters] == [b"", b"[" * KEPT_VALUE, b"{"]
    assert await connection.fetchval("select count(*) from course_progress") == 1
