"""What is too large: records that inflate, letters that their topic does not take, batches that take too long."""

import random

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events.producer import OutgoingRecord, Producer
from tests.factories import histories
from tests.faults.comparison import records_of as all_records_of
from tests.processes import Workers
from tests.topics import publish, records_of
from worker.deadletters.headers import TRUNCATED
from worker.kafka.client import client_arguments
from worker.progress.reference import expected, stored, wrong_rows
from worker.settings import Settings


async def test_a_record_that_inflates_becomes_a_dead_letter_and_holds_nobody_up(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    inflating = OutgoingRecord(settings.lesson_events_topic, b"k", b"x" * 20_000_000, [])  # 20 kB on its way
    limits = {"compression_type": "gzip", "max_request_size": 30_000_000}
    async with Producer(settings.kafka_bootstrap_servers, **limits) as producer:
        await producer.send_all([inflating])
    happened = histories(learners=10, seed=8)
    await publish(settings, happened)

    assert workers.start("--until-idle").wait() == 0

    assert wrong_rows(expected(happened), await stored(connection)) == []
    [letter] = await records_of(settings, settings.dead_letter_topic, 1)
    assert letter.value == inflating.value


async def test_a_letter_that_its_topic_does_not_take_is_cut_and_says_so(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    await admin.start()
    small = {"max.message.bytes": "200000", "retention.ms": "-1"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.dead_letter_topic, small)])
    await admin.close()
    value = random.Random(1).randbytes(600_000)
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        bad = [OutgoingRecord(settings.lesson_events_topic, b"k", v, []) for v in (b"{", value, b"[")]
        await producer.send_all(bad)
    happened = histories(learners=10, seed=9)
    await publish(settings, happened)

    assert workers.start("--until-idle").wait() == 0

    assert wrong_rows(expected(happened), await stored(connection)) == []
    found = await all_records_of(settings.kafka_bootstrap_servers, settings.dead_letter_topic)
    letters = {letter.value: dict(letter.headers) for letter in found}
    assert letters.keys() == {b"{", b"[", value[:100_000]}
    assert letters[value[:100_000]][TRUNCATED] == b"600000"
    assert TRUNCATED not in letters[b"{"]


async def test_a_batch_that_always_takes_too_long_is_halved_until_it_does_not(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        """
        create function slow() returns trigger language plpgsql as
            $$ begin perform pg_sleep(0.02); return new; end $$;
        create trigger slow before insert or update on lesson_progress for each row execute function slow();
        """
    )
    happened = histories(learners=30, seed=10)
    await publish(settings, happened)

    assert workers.start("--until-idle", database_timeout_s=1).wait() == 0

    assert wrong_rows(expected(happened), await stored(connection)) == []
    assert await connection.fetchval("select count(*) from lesson_progress") > 20
