"""What other clients produce arrives: of each in every codec and form, and by the programs of docs/producers.md."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4
from zlib import crc32

import asyncpg
import pytest
from aiokafka.partitioner import murmur2

from events.models import LessonCompleted
from tests.e2e.producers import (
    CODECS,
    FORMS,
    PACKAGES,
    Batches,
    Console,
    find_snippet,
    in_binary_mode,
    produce_with_confluent,
    produce_with_kafkajs,
    read_stored,
    run_node,
    set_up,
    write,
)
from tests.factories import NOW, Happened, completed, uncompleted
from tests.node import find_packages
from tests.processes import Workers
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.settings import Settings

LESSONS = 10
# What the three clients say of one learner: the later it happened, the sooner it is sent.
SENT_FIRST, SENT_SECOND, SENT_LAST = completed("intro", 3, 1), uncompleted("intro", 2, 1), completed("intro", 1, 1)


@pytest.fixture
def packages() -> Path:
    return find_packages("kafkajs", PACKAGES)


@pytest.fixture
def console(tmp_path: Path, settings: Settings) -> Console:
    return Console(tmp_path)


async def test_what_three_clients_produce_in_each_codec_and_form_is_applied(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, packages: Path, console: Console
) -> None:
    """The worker counts it, whatever the client. Kafka has stored it in the codec that was asked for."""
    produce: dict[Callable[[Batches], None], Happened] = {
        lambda batches: produce_with_confluent(settings, batches): SENT_FIRST,
        lambda batches: produce_with_kafkajs(settings, packages, batches): SENT_SECOND,
        lambda batches: console.produce(settings, batches): SENT_LAST,
    }
    happened: list[Happened] = []
    codecs: dict[str, str] = {}
    for send, shared in produce.items():
        learners = {codec: [(form, learn(uuid4())) for form in FORMS] for codec in CODECS}
        batches = {
            codec: [write(form, one) for form, events in them for one in events] for codec, them in learners.items()
        }
        batches["none"].append(write(in_binary_mode, shared))
        await asyncio.to_thread(send, batches)
        happened += [shared, *(one for them in learners.values() for _, events in them for one in events)]
        codecs |= {record.key: codec for codec, records in batches.items() for record in records}

    assert workers.start("--until-idle").wait() == 0

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    assert {stored.key: stored.codec for stored in await read_stored(settings, len(happened))} == codecs


def learn(user: UUID) -> list[Happened]:
    """Builds a learner's events: so many that a batch of them becomes smaller, with letters of several bytes."""
    course = uuid4()
    return [
        (
            LessonCompleted(user_id=user, course_id=course, lesson_id=f"Übung № {n} 🎓", total_lessons=LESSONS + 1),
            NOW - timedelta(hours=n),
        )
        for n in range(LESSONS)
    ]


async def test_the_pages_programs_send_what_is_applied_all_to_one_partition(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, packages: Path, console: Console
) -> None:
    """Each is pasted as it stands. With what they set, all three find the partition that Java's default finds."""
    python, javascript, shell = (
        set_up(find_snippet(*where), settings)
        for where in [("python", "confluent_kafka"), ("js", "Partitioners"), ("sh", "kafka-console-producer.sh")]
    )
    await asyncio.to_thread(exec, compile(python, "docs/producers.md", "exec"), {})
    await asyncio.to_thread(run_node, packages, javascript)
    await asyncio.to_thread(console.run, shell)

    assert workers.start("--until-idle").wait() == 0

    [row] = (await read_rows(connection)).values()
    assert (row.completed_lessons, row.total_lessons) == (frozenset({"python", "node", "console"}), 12)
    [(key, partition)] = {(stored.key, stored.partition) for stored in await read_stored(settings, 3)}
    by_java, by_librdkafka = (
        number % settings.topic_partitions for number in (murmur2(key.encode()) & 0x7FFFFFFF, crc32(key.encode()))
    )
    assert by_java != by_librdkafka, "this key tells the two apart"
    assert partition == by_java
