"""What is too large: records that inflate, letters that their topic does not take, batches that take too long."""

import random

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events.producer import OutgoingRecord, Producer
from tests.command_line import run
from tests.factories import histories
from tests.faults.comparison import records_of as all_records_of
from tests.processes import Workers, environment
from tests.topics import publish, record, records_of
from worker.deadletters.headers import TRUNCATED
from worker.deadletters.letter import Letter, read_entry
from worker.kafka.client import client_arguments
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.settings import Settings


async def limit_letters(settings: Settings, size: int) -> None:
    """Makes the dead letter topic one that takes no more than `size` bytes."""
    await configure_letters(settings, {"max.message.bytes": str(size), "retention.ms": "-1"})


async def configure_letters(settings: Settings, values: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    await admin.start()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.dead_letter_topic, values)])
    await admin.close()


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

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    [letter] = await records_of(settings, settings.dead_letter_topic, 1)
    assert (letter.value, dict(letter.headers)[TRUNCATED]) == (b"x" * 100_000, b"20000000")


async def test_a_record_that_inflates_without_end_becomes_a_letter_of_its_offset_alone(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    """zstd finds the repetition in it, and a letter's gzip does not."""
    value = random.Random(2).randbytes(300_000) * 400
    limits = {"compression_type": "zstd", "max_request_size": 2**28}
    async with Producer(settings.kafka_bootstrap_servers, **limits) as producer:
        await producer.send_all([OutgoingRecord(settings.lesson_events_topic, b"k", value, [])])
    happened = histories(learners=10, seed=12)
    await publish(settings, happened)

    assert workers.start("--until-idle").wait() == 0

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    [letter] = await records_of(settings, settings.dead_letter_topic, 1)
    assert (letter.value, dict(letter.headers)[TRUNCATED]) == (b"", b"batch")


async def test_a_compacted_topic_takes_letters_without_a_key_and_their_replay_has_none(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await configure_letters(settings, {"cleanup.policy": "compact", "max.message.bytes": "200000"})
    happened = histories(learners=10, seed=13)
    good = [record(settings, event, at, keyed=False) for event, at in happened]
    large = random.Random(3).randbytes(600_000)
    bad = [OutgoingRecord(settings.lesson_events_topic, None, value, []) for value in (b"{", large, b"[")]
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all([*bad, *good])

    assert workers.start("--until-idle").wait() == 0

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    found = await all_records_of(settings.kafka_bootstrap_servers, settings.dead_letter_topic)
    letters = [letter for letter in map(read_entry, found) if isinstance(letter, Letter)]
    assert {letter.record.value for letter in letters} == {b"{", large[:100_000], b"["}
    assert {letter.record.key for letter in letters} == {None}
    status, _, errors = run("deadletters", "discard", "--kind", "not-json", "--yes", **environment(settings))
    assert status == 0, errors
    assert run("deadletters", "list", **environment(settings))[2] == "no dead letters\n"


async def test_a_letter_that_its_topic_does_not_take_is_cut_and_says_so(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await limit_letters(settings, 200_000)
    value = random.Random(1).randbytes(600_000)
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        bad = [OutgoingRecord(settings.lesson_events_topic, b"k", v, []) for v in (b"{", value, b"[")]
        await producer.send_all(bad)
    happened = histories(learners=10, seed=9)
    await publish(settings, happened)

    assert workers.start("--until-idle").wait() == 0

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    found = await all_records_of(settings.kafka_bootstrap_servers, settings.dead_letter_topic)
    letters = {letter.value: dict(letter.headers) for letter in found}
    assert letters.keys() == {b"{", b"[", value[:100_000]}
    assert letters[value[:100_000]][TRUNCATED] == b"600000"
    assert TRUNCATED not in letters[b"{"]


@pytest.mark.parametrize(
    ("limit", "whole"),
    [(1_048_588, {b"{", b"many"}), (2_000, {b"{"})],
    ids=["Kafka's default", "2 kB"],
)
async def test_whatever_of_a_record_is_too_large_for_a_letter_holds_nobody_up(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, limit: int, whole: set[bytes]
) -> None:
    """Each is nearly as large as lesson-events takes. Its letter has headers more, and only names can be compressed."""
    await limit_letters(settings, limit)
    noise = random.Random(1).randbytes(1_048_400)
    many = [(f"h{n:05}", noise[n * 20 : n * 20 + 20]) for n in range(37_000)]
    halves = (b"k", noise[:500_000], [("trace", noise[500_000:])])
    bad = [
        OutgoingRecord(settings.lesson_events_topic, key, value, headers)
        for key, value, headers in [
            (b"k", b"[", [("trace", noise)]), (b"k", b"many", many), halves, (b"k", b"{", []), (noise, b"not json", [])
        ]
    ]  # fmt: skip
    async with Producer(settings.kafka_bootstrap_servers, max_request_size=2**21) as producer:
        await producer.send_all(bad)
    happened = histories(learners=10, seed=11)
    await publish(settings, happened)

    assert workers.start("--until-idle").wait() == 0

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    found = await all_records_of(settings.kafka_bootstrap_servers, settings.dead_letter_topic)
    assert len(found) >= len(bad)  # a letter may be there twice
    assert {letter.value for letter in found if TRUNCATED not in dict(letter.headers)} == whole
    status, output, errors = run("deadletters", "list", **environment(settings))
    truncated = len(bad) - len(whole)
    assert (status, output.count("[truncated]")) == (0, truncated), errors
    assert f"left {truncated}: truncated" in run("deadletters", "replay", **environment(settings))[1]


async def test_a_topic_that_takes_no_letter_stops_the_worker_with_one_line_that_names_it(
    settings: Settings, workers: Workers
) -> None:
    await limit_letters(settings, 100)
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all([OutgoingRecord(settings.lesson_events_topic, b"k", b"{", [])])

    worker = workers.start()

    assert worker.wait() == 1
    [reason] = worker.reasons
    assert f"topic {settings.dead_letter_topic} " in reason
    assert "max.message.bytes" in reason


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

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    assert await connection.fetchval("select count(*) from lesson_progress") > 20
