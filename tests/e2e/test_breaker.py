"""The breaker of whole workers: what it lets through, and what goes on while it is open."""

import dataclasses
import re
from uuid import uuid4

import asyncpg

from events.models import CourseAccessed
from events.producer import OutgoingRecord, Producer
from tests.databases import count_applied, wait_until_applied
from tests.factories import NOW, histories
from tests.processes import WorkerProcess, Workers, eventually
from tests.topics import PARTITIONS, publish, record, records_in, records_of
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.settings import Settings


async def send_bad(settings: Settings, number: int) -> None:
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all(
            [OutgoingRecord(settings.lesson_events_topic, b"key", f"bad {n}".encode(), []) for n in range(number)]
        )


async def is_open(worker: WorkerProcess) -> bool:
    return await worker.metric("progress_breaker_open") == {"": 1}


async def test_a_flood_opens_it_skips_nothing_and_with_it_switched_off_each_becomes_a_dead_letter(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    happened = histories(learners=30, seed=21)
    worker = workers.start(batch_size=20, breaker_consecutive=50)
    await publish(settings, happened[:100])

    async def opened() -> bool:
        return await is_open(worker)

    await wait_until_applied(connection, 100)
    await send_bad(settings, 300)
    await eventually(opened)
    await publish(settings, happened[100:])
    live, ready = [await worker.get(path) for path in ("/live", "/ready")]
    letters = await records_in(settings, settings.dead_letter_topic)

    # Batches before the one that makes it 50 in a row were settled.
    assert (live.status_code, ready.status_code, letters < 50) == (200, 503, True)
    assert re.search(r"not a dead letter yet is \S+\[\d] offset \d+ ", ready.json()["waiting_for"])
    assert await count_applied(connection) == 100 + letters
    assert worker.stop() == 0
    assert workers.start("--until-idle", breaker_share=0, breaker_consecutive=0).wait() == 0
    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    values = [letter.value for letter in await records_of(settings, settings.dead_letter_topic, 300)]
    assert sorted(values) == sorted(f"bad {n}".encode() for n in range(300))


async def test_a_share_of_bad_records_opens_it(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        bad = OutgoingRecord(settings.lesson_events_topic, b"key", b"bad", [])
        user = CourseAccessed(user_id=uuid4(), course_id=uuid4())
        good = dataclasses.replace(record(settings, user, NOW), key=b"key")
        await producer.send_all([bad, good, good] * 30 + [bad, good] * 100)

    worker = workers.start("--until-idle", breaker_window=100, breaker_consecutive=0)

    assert worker.wait() == 1
    assert "50 of the last 100 records were rejected" in worker.last_line["reason"]


async def test_a_worker_that_is_to_end_when_idle_ends_with_the_breakers_line(
    settings: Settings, workers: Workers
) -> None:
    await send_bad(settings, 300)

    worker = workers.start("--until-idle")

    assert worker.wait() == 1
    assert "PROGRESS_BREAKER_CONSECUTIVE=0" in worker.last_line["reason"]
    assert await records_in(settings, settings.dead_letter_topic) == 0


async def test_a_constraint_that_refuses_everything_opens_it(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute("alter table course_progress_all add constraint wrong check (id < 0)")
    happened = histories(learners=30, seed=22)
    await publish(settings, happened)

    worker = workers.start("--until-idle", breaker_consecutive=20)

    assert worker.wait() == 1
    assert "20 of the last 20" in worker.last_line["reason"]
    assert await records_in(settings, settings.dead_letter_topic) == 19
    assert await count_applied(connection) == 19


async def test_while_it_is_open_partitions_come_and_go_and_stay_unread(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await send_bad(settings, 300)
    first = workers.start()

    async def opened() -> bool:
        return await is_open(first)

    async def shares() -> bool:
        return len((await first.get("/ready")).json()["partitions"]) == PARTITIONS // 2

    async def has_all_again() -> bool:
        return len((await first.get("/ready")).json()["partitions"]) == PARTITIONS

    await eventually(opened)
    second = workers.start()
    await eventually(shares)
    assert second.stop() == 0
    await eventually(has_all_again)
    await publish(settings, [(CourseAccessed(user_id=uuid4(), course_id=uuid4()), NOW) for _ in range(50)])

    async def sees_the_backlog() -> bool:
        return sum((await first.metric("progress_lag_events")).values()) == 350

    await eventually(sees_the_backlog)
    assert await count_applied(connection) == 0
    assert first.stop() == 0
