"""Whole workers on real servers: what Kafka acknowledged is applied once, whatever happens to the process."""

import json
import random
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import confluent_kafka
import httpx
import pytest

from events.envelope import binary
from events.models import CourseAccessed, CourseCompleted, LessonCompleted
from events.producer import OutgoingRecord, Producer
from tests.databases import nothing_waits, transitions
from tests.factories import NOW, histories
from tests.processes import Workers, environment, eventually
from tests.topics import certificates, publish, record, records_of
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.settings import Settings


async def test_every_valid_event_is_applied_and_published(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    happened = histories(learners=150, seed=1)
    await publish(settings, happened)

    assert workers.start("--until-idle").wait() == 0

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    assert await nothing_waits(connection)
    assert len(await certificates(settings, await transitions(connection))) > 50


async def test_a_completion_is_published_with_its_date_and_number(settings: Settings, workers: Workers) -> None:
    user, course = uuid4(), uuid4()
    at = [NOW - timedelta(days=1, minutes=m) for m in (9, 3)]
    await publish(
        settings, [(LessonCompleted(user_id=user, course_id=course, lesson_id=f"{t}", total_lessons=2), t) for t in at]
    )

    workers.start("--until-idle").wait()

    [received] = (await certificates(settings, 1)).values()
    assert received.time == at[1]
    assert received.event == CourseCompleted(
        user_id=user,
        course_id=course,
        completed_at=at[1],
        completion_number=1,
        lessons_completed=2,
        total_lessons=2,
        started_at=at[0],
    )


async def test_bad_records_become_dead_letters_byte_for_byte_and_harm_no_neighbour(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    happened = histories(learners=20, seed=2)
    good = [record(settings, event, at) for event, at in happened]
    bad = [
        OutgoingRecord(
            settings.lesson_events_topic, b"\xff\x00key", value, [("trace", b"\x01\xff")], 1_750_000_000_000 + n
        )
        for n, value in enumerate([b"", b"\xff\xfe", b"[" * 90_000, b'{"type": "LessonCompleted"}', b"null"])
    ]
    kinds = [b"not-json", b"not-json", b"not-json", b"envelope", b"not-json"]
    too_old = record(settings, happened[0][0], datetime(1999, 12, 31, tzinfo=UTC))
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all([*good[:7], *bad, too_old, *good[7:]])

    assert workers.start("--until-idle").wait() == 0

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    letters = await records_of(settings, settings.dead_letter_topic, len(bad) + 1)
    by_value = {letter.value: letter for letter in letters}
    for sent in bad:
        letter = by_value[sent.value]
        headers = dict(letter.headers)
        assert (letter.key, letter.timestamp, headers["trace"]) == (sent.key, sent.timestamp_ms, b"\x01\xff")
        assert headers["dlq_topic"] == settings.lesson_events_topic.encode()
        assert headers["dlq_reason"]
    assert [dict(by_value[sent.value].headers)["dlq_kind"] for sent in bad] == kinds
    assert b"1999" in dict(by_value[too_old.value].headers)["dlq_reason"]


async def test_unknown_types_and_records_without_a_value_are_skipped_and_a_type_is_named(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    unknown = {"id": "1", "type": "LessonRated", "time": NOW.isoformat(), "stars": 5}
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all(
            [
                OutgoingRecord(settings.lesson_events_topic, b"k", json.dumps(unknown).encode(), []),
                OutgoingRecord(settings.lesson_events_topic, b"k", None, []),
            ]
        )

    worker = workers.start("--until-idle")
    assert worker.wait() == 0

    assert [line["type"] for line in map(json.loads, worker.log.splitlines()) if "offset" in line] == ["LessonRated"]
    assert await connection.fetchval("select sum(next_offset) from consumed_offset") == 2
    assert await read_rows(connection) == {}


async def test_a_value_that_only_the_database_refuses_is_a_dead_letter(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute("alter table lesson_progress add constraint no_poison check (lesson_id <> 'poison')")
    happened = histories(learners=20, seed=3)
    poison = LessonCompleted(user_id=uuid4(), course_id=uuid4(), lesson_id="poison", total_lessons=2)
    await publish(settings, [*happened[:50], (poison, NOW), *happened[50:]])

    assert workers.start("--until-idle").wait() == 0

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    [letter] = await records_of(settings, settings.dead_letter_topic, 1)
    headers = dict(letter.headers)
    assert (headers["dlq_kind"], headers["dlq_attempts"]) == (b"refused", b"1")
    assert b"no_poison" in headers["dlq_reason"]


async def test_a_dead_letter_as_large_as_a_record_can_be_is_written(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    happened = histories(learners=5, seed=7)
    await publish(settings, happened)
    largest = OutgoingRecord(settings.lesson_events_topic, b"k", random.Random(7).randbytes(1_048_000), [])
    async with Producer(settings.kafka_bootstrap_servers, max_request_size=2_000_000) as producer:
        await producer.send_all([largest])

    assert workers.start("--until-idle").wait() == 0

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    [letter] = await records_of(settings, settings.dead_letter_topic, 1)
    assert letter.value == largest.value


async def test_a_refusal_that_is_no_events_fault_stops_the_worker_without_a_dead_letter(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute("alter table consumed_offset add constraint nothing_moves check (next_offset < 0)")
    await publish(settings, [(CourseAccessed(user_id=uuid4(), course_id=uuid4()), NOW)])

    worker = workers.start()

    assert worker.wait() == 1
    assert "nothing_moves" in worker.last_line["reason"]


async def test_a_killed_worker_loses_and_doubles_nothing(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    small = settings.model_copy(update={"batch_size": 40})
    happened = histories(learners=400, seed=4)
    await publish(settings, happened)
    first, _second = (workers.start(batch_size=40) for _ in range(2))

    async def midway() -> bool:
        return bool(await connection.fetchval("select sum(next_offset) > 300 from consumed_offset"))

    await eventually(midway)
    first.kill()
    assert workers.start("--until-idle", batch_size=small.batch_size).wait() == 0

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    assert len(await certificates(settings, await transitions(connection))) > 50


async def test_events_without_a_key_reach_one_row_through_two_workers(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    user, course = uuid4(), uuid4()
    happened = [
        (
            LessonCompleted(user_id=user, course_id=course, lesson_id=f"{n % 90}", total_lessons=90),
            NOW - timedelta(minutes=n),
        )
        for n in range(400)
    ]
    running = [workers.start(batch_size=10) for _ in range(2)]

    async def both_take_part() -> bool:
        return all(worker.count_assignments(settings.lesson_events_topic) for worker in running)

    await eventually(both_take_part)
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        for event, at in happened:
            await producer.send_all([record(settings, event, at, keyed=False)])

    async def all_applied() -> bool:
        return bool(await connection.fetchval("select coalesce(sum(next_offset), 0) >= 400 from consumed_offset"))

    await eventually(all_applied)
    assert [worker.stop() for worker in running] == [0, 0]

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []


async def test_a_transactions_markers_do_not_keep_a_worker_from_being_idle(
    settings: Settings, workers: Workers
) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": settings.kafka_bootstrap_servers, "transactional.id": f"{uuid4()}"}
    )
    producer.init_transactions()
    for end in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        event = CourseAccessed(user_id=uuid4(), course_id=uuid4())
        headers, value = binary(event, id="1", time=NOW, source="tests")
        producer.produce(settings.lesson_events_topic, value, headers=headers, partition=0)
        end()

    assert workers.start("--until-idle").wait() == 0


async def test_sigterm_ends_a_worker_cleanly_and_its_successor_goes_on(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    happened = histories(learners=60, seed=5)
    half = len(happened) // 2
    first = workers.start()
    await publish(settings, happened[:half])

    async def some_applied() -> bool:
        return bool(await connection.fetchval("select count(*) from course_progress"))

    await eventually(some_applied)
    assert first.stop() == 0
    await publish(settings, happened[half:])
    assert workers.start("--until-idle").wait() == 0

    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []


async def test_health_and_metrics_tell_of_progress(settings: Settings, workers: Workers) -> None:
    worker = workers.start()
    await publish(settings, histories(learners=5, seed=6))

    async def listens() -> bool:
        return "Uvicorn running on" in worker.log

    await eventually(listens)
    [port] = re.findall(r"Uvicorn running on http://127.0.0.1:(\d+)", worker.log)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

        async def counted() -> bool:
            metrics = await client.get("/metrics")
            return 'progress_events_total{outcome="applied",type="LessonCompleted"}' in metrics.text

        await eventually(counted)
        live, ready = [await client.get(path) for path in ("/live", "/ready")]

    assert (live.status_code, ready.status_code, ready.json()["partitions"]) == (200, 200, [0, 1, 2, 3])


@pytest.mark.parametrize(("arguments", "said"), [(["agents"], "progress"), (["worker", "--help"], "Usage")])
def test_the_faust_command_line_knows_the_app(database_settings: Settings, arguments: list[str], said: str) -> None:
    faust = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "worker.app", *arguments],
        env=environment(database_settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert faust.returncode == 0, faust.stderr
    assert said in faust.stdout
