"""The snapshot of all that runs: right when all is there, and partly there when a server is not."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from events.catalog import CatalogLesson, CoursePublished
from events.kinds import Kind
from events.producer import OutgoingRecord, Producer
from tests.databases import execute, new_settings, publish_version, put
from tests.factories import SNAPSHOT_AT as NOW
from tests.operations.polling import until
from tests.outages import own_broker
from tests.processes import eventually
from worker.deadletters.letter import Fate, Position
from worker.deadletters.topic import build_resolution, write_resolutions
from worker.kafka.client import client_arguments
from worker.kafka.topics import admin_client
from worker.operations import watch as ops
from worker.operations.snapshot import MOST_COURSES, Outbox, Snapshot
from worker.operations.watch import Operations
from worker.settings import Settings


async def write_letters(settings: Settings, number: int, kind: Kind = Kind.SCHEMA) -> None:
    """To partition 0."""
    at = (NOW + timedelta(seconds=number)).isoformat().encode()
    headers = [("dlq_kind", kind.encode()), ("dlq_reason", b"why"), ("dlq_rejected_at", at)]
    async with Producer(**client_arguments(settings)) as producer:
        for _ in range(number):
            await producer.send_all([OutgoingRecord(settings.dead_letter_topic, None, b"x", headers, partition=0)])


def open_letters(taken: Snapshot) -> Mapping[Kind, int] | None:
    return taken.dead_letters and taken.dead_letters.kinds


async def test_a_snapshot_tells_the_newest_dead_letters_and_what_became_of_them(settings: Settings) -> None:
    await write_letters(settings, 230)
    async with Operations(settings) as operations:
        await eventually(until(operations, lambda s: open_letters(s) == {Kind.SCHEMA: 200}))

        await write_letters(settings, 300, Kind.TIME)
        async with Producer(**client_arguments(settings)) as producer:
            await write_resolutions(
                settings, producer, [build_resolution(Position(0, n), Fate.DISCARDED) for n in range(340, 530)]
            )
        await eventually(until(operations, lambda s: open_letters(s) == {Kind.TIME: 10}))

        taken = await operations.snapshot()
        assert taken.dead_letters is not None
        assert taken.dead_letters.records == 720
        assert [row.state for row in taken.dead_letters.latest] == ["open"] * 10 + ["discarded"] * 10
        assert {row.reason for row in taken.dead_letters.latest} == {"why"}


async def test_letters_that_were_deleted_are_not_shown_any_more(settings: Settings) -> None:
    await write_letters(settings, 5)
    async with Operations(settings) as operations, admin_client(settings) as admin:
        await eventually(until(operations, lambda s: open_letters(s) == {Kind.SCHEMA: 5}))

        await admin.delete_records({TopicPartition(settings.dead_letter_topic, 0): RecordsToDelete(3)})

        await eventually(until(operations, lambda s: open_letters(s) == {Kind.SCHEMA: 2}))


async def test_between_two_looks_nothing_is_fetched(settings: Settings) -> None:
    await write_letters(settings, 3)
    async with Operations(settings) as operations:
        await eventually(until(operations, lambda s: open_letters(s) == {Kind.SCHEMA: 3}))

        async def paused() -> bool:
            consumer = operations._cluster._consumer
            return bool(consumer.paused()) and consumer.paused() == consumer.assignment()

        await eventually(paused)


async def test_of_a_letter_little_is_kept_however_long_its_texts_are(settings: Settings) -> None:
    headers = [("ce_type", b"t" * 300_000), ("dlq_reason", b"r" * 300_000)]
    async with Producer(**client_arguments(settings)) as producer:
        await producer.send_all([OutgoingRecord(settings.dead_letter_topic, None, b"x", headers)])

    async with Operations(settings) as operations:
        await eventually(until(operations, lambda s: open_letters(s) == {Kind.UNKNOWN: 1}))
        taken = await operations.snapshot()

    assert taken.dead_letters is not None
    assert [(len(row.type), len(row.reason)) for row in taken.dead_letters.latest] == [(1000, 1000)]


async def test_what_a_deleted_topic_had_applied_is_not_applied_of_this_one(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    group, topic = settings.consumer_group, settings.lesson_events_topic
    async with Producer(**client_arguments(settings)) as producer:
        await producer.send_all([OutgoingRecord(topic, None, b"x", [], partition=0)] * 3)
    offset = "insert into consumed_offset (consumer_group, topic, partition, next_offset) values ($1, $2, 0, 50)"
    await connection.execute(offset, group, topic)
    await connection.execute("insert into known_topic values ($1, $2, $3)", group, topic, uuid4())

    async with Operations(settings) as operations:
        taken = await operations.snapshot()

    assert (taken.partitions[0].stored, taken.lag) == (None, 3)


async def test_a_snapshot_tells_what_waits_in_the_outbox(settings: Settings, connection: asyncpg.Connection) -> None:
    await put(connection, TopicPartition(settings.lesson_events_topic, 0), range(1, 4))

    async with Operations(settings) as operations:
        taken = await operations.snapshot()

    assert isinstance(taken.outbox, Outbox)
    assert taken.outbox.rows == 6


async def test_a_snapshot_tells_how_far_recounts_are_and_where_totals_disagree(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    course, unknown = uuid4(), uuid4()
    lessons = (CatalogLesson(lesson_id="a"),)
    await publish_version(connection, CoursePublished(course_id=course, version=1, title="Old", lessons=lessons))
    await publish_version(connection, CoursePublished(course_id=course, version=2, title="New", lessons=lessons))
    found = [{"course_id": str(id), "total": 9, "needed": 1, "at": NOW.isoformat()} for id in (course, unknown)]
    await connection.execute(
        """
        insert into worker_status (consumer_group, worker, host, version, started_at, partitions, events_per_s, busy,
                                   dead_letters, disagreeing_totals)
        values ($1, 'a', 'h', '1', now(), '{}', 0, 0, 0, $2)
        """,
        settings.consumer_group,
        json.dumps(found),
    )

    async with Operations(settings) as operations:
        taken = await operations.snapshot()

    [recount] = taken.recounts
    assert (recount.course_id, recount.title, recount.version, recount.finished_at) == (course, "New", 2, None)
    disagreeing = {each.course_id: (each.title, each.total, each.needed, each.at) for each in taken.disagreeing_totals}
    assert disagreeing == {course: ("New", 9, 1, NOW), unknown: (None, 9, 1, NOW)}


async def test_recounts_that_ended_last_are_shown_and_those_of_long_ago_are_not(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    recounts = "insert into course_recount (course_id, version, finished_at) values ($1, 1, now() - $2::interval)"
    ended = [uuid4() for _ in range(MOST_COURSES + 1)]  # the last of them longest ago
    for minutes, course in reversed(list(enumerate(ended))):
        await connection.execute(recounts, course, timedelta(minutes=minutes))
    await connection.execute(recounts, uuid4(), timedelta(hours=2))

    async with Operations(settings) as operations:
        taken = await operations.snapshot()

    assert [recount.course_id for recount in taken.recounts] == ended[:MOST_COURSES]


async def test_while_nobody_looks_only_lag_is_noted_and_who_looks_then_sees_how_it_is_now(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in {"SNAPSHOT_EVERY_S": 0.05, "SAMPLE_EVERY_S": 0.05, "WATCHED_S": 0.2}.items():
        monkeypatch.setattr(ops, name, seconds)
    async with Operations(settings) as operations:
        before = await operations.snapshot()
        asked = count_calls(monkeypatch, operations._cluster, "read_group")

        async def pauses() -> bool:
            return not operations._look_done.is_set()

        await eventually(pauses)
        whole_looks, points = len(asked), len(operations.history(every_s=0))

        async def noted() -> bool:
            return len(operations.history(every_s=0)) > points + 3

        await eventually(noted)
        assert len(asked) == whole_looks
        after = await operations.snapshot()
        assert after.at > before.at
        assert len(asked) > whole_looks


def count_calls(monkeypatch: pytest.MonkeyPatch, of: Any, name: str) -> list[None]:
    calls: list[None] = []
    method = getattr(of, name)

    async def counted() -> Any:
        calls.append(None)
        return await method()

    monkeypatch.setattr(of, name, counted)
    return calls


async def test_without_kafka_the_databases_part_is_there(settings: Settings) -> None:
    away = settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})

    async with Operations(away) as operations:
        taken = await operations.snapshot()

    assert taken.missing.keys() == {"lesson_events", "group", "dead_letters"}
    assert taken.outbox == Outbox(0, 0.0)


async def test_without_the_database_kafkas_part_is_there(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://127.0.0.1:1/nowhere"})

    async with Operations(Settings(**away.model_dump())) as operations:
        taken = await operations.snapshot()

    assert taken.missing.keys() == {"stored", "statuses", "outbox", "recounts"}
    assert [p.end for p in taken.partitions] == [0] * settings.topic_partitions


async def test_kafka_that_does_not_answer_is_missed_in_time_and_seen_again(
    database_url: str, connection: asyncpg.Connection
) -> None:
    with own_broker() as broker:
        settings = await new_settings(database_url, broker.address)
        async with Operations(settings) as operations:
            await eventually(until(operations, lambda s: s.missing == {}))

            broker.stop()
            await eventually(until(operations, lambda s: "lesson_events" in s.missing and s.outbox is not None))
            broker.go_on()

            await eventually(until(operations, lambda s: s.missing == {}))


async def test_a_database_that_refuses_is_missed_and_seen_again(settings: Settings, admin_url: str) -> None:
    name = settings.database_url.get_secret_value().rpartition("/")[2]
    async with Operations(settings) as operations:
        await eventually(until(operations, lambda s: s.missing == {}))

        await execute(admin_url, f"alter database {name} with allow_connections false")
        await execute(admin_url, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
        await eventually(until(operations, lambda s: s.missing.keys() == {"stored", "statuses", "outbox", "recounts"}))
        await execute(admin_url, f"alter database {name} with allow_connections true")

        await eventually(until(operations, lambda s: s.missing == {}))


async def test_a_bug_is_not_hidden_and_does_not_end_it_for_ever(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def bug() -> None:
        raise ZeroDivisionError

    async with Operations(settings) as operations:
        await operations.snapshot()
        monkeypatch.setattr(operations, "_read_outbox", bug)

        async def raises() -> bool:
            try:
                await operations.snapshot()
            except ExceptionGroup as group:
                return group.subgroup(ZeroDivisionError) is not None
            return False

        await eventually(raises)
        monkeypatch.undo()

        async def looks() -> bool:
            return not await raises()

        await eventually(looks)
