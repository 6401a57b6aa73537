"""The snapshot of all that runs: right when all is there, and partly there when a server is not."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from events.kinds import Kind
from events.producer import OutgoingRecord, Producer
from tests.away import own_broker
from tests.conftest import execute, new_settings
from tests.histories import histories, publish
from tests.outbox.test_relay import put
from tests.processes import Workers, eventually
from worker.deadletters.letter import Fate, Position
from worker.deadletters.topic import resolved, write_resolutions
from worker.kafka.client import client
from worker.kafka.topics import admin_client
from worker.operations import watch as ops
from worker.operations.cluster import Group, Member
from worker.operations.lag_history import Rates
from worker.operations.snapshot import Look, Outbox, Snapshot, WorkerStatus, build_snapshot, join_workers, stall_reason
from worker.operations.watch import Operations
from worker.settings import Settings

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def status(worker: str = "a", **changed: object) -> WorkerStatus:
    usual = {
        "host": "h", "version": "1", "started_at": NOW, "partitions": [0], "events_per_s": 10.0, "busy": 0.5,
        "capacity_per_s": 1000.0, "visible_p50_s": 0.01, "visible_p99_s": 0.02, "dead_letters": 0, "breaker": None,
        "waiting_for": None, "silent_s": 1.0,
    }  # fmt: skip
    return WorkerStatus(worker, **usual | changed)


def until(operations: Operations, holds: Callable[[Snapshot], bool]) -> Callable[[], Awaitable[bool]]:
    async def it_holds() -> bool:
        return holds(await operations.snapshot())

    return it_holds


async def write_letters(settings: Settings, number: int, kind: Kind = Kind.SCHEMA) -> None:
    """To partition 0."""
    at = (NOW + timedelta(seconds=number)).isoformat().encode()
    headers = [("dlq_kind", kind.encode()), ("dlq_reason", b"why"), ("dlq_rejected_at", at)]
    async with Producer(**client(settings)) as producer:
        for _ in range(number):
            await producer.send_all([OutgoingRecord(settings.dead_letter_topic, None, b"x", headers, partition=0)])


def open_letters(taken: Snapshot) -> Mapping[Kind, int] | None:
    return taken.dead_letters and taken.dead_letters.kinds


# Pure


def test_a_worker_is_known_by_its_name_in_both_places_and_by_one_of_them() -> None:
    group = Group("Stable", (Member("a-1", "a", "h", (0, 1)), Member("c-1", "c", "h", (2,))))

    a, b, c, d = join_workers([status("a"), status("b", silent_s=61), status("d")], group)

    assert [w.name for w in (a, b, c, d)] == ["a", "b", "c", "d"]
    assert [w.running for w in (a, b, c, d)] == [True, False, True, True]
    assert [list(w.partitions) for w in (a, b, c, d)] == [[0, 1], [], [2], [0]]


def test_lag_counts_from_the_first_event_that_is_there() -> None:
    found = Look(NOW, lesson_events={0: (0, 9), 1: (50, 60), 2: (50, 60)}, stored={1: 55, 2: 10})

    taken = build_snapshot(found, None)

    assert [p.lag for p in taken.partitions] == [9, 5, 10]
    assert taken.lag == 24


def test_without_offsets_there_is_no_lag_and_no_advice() -> None:
    taken = build_snapshot(Look(NOW, {"stored": "away"}, lesson_events={0: (0, 9)}), None)

    assert (taken.partitions[0].end, taken.partitions[0].lag, taken.lag) == (9, None, None)
    assert taken.advice.workers is None


def test_one_workers_open_breaker_shows_and_one_that_waits_does_not_stop_the_others() -> None:
    found = Look(NOW, lesson_events={0: (0, 9)}, stored={}, statuses=[status("a", breaker="flood"), status("b")])

    assert build_snapshot(found, Rates({0: 1.0}, {0: 1.0})).breaker == "flood"
    assert stall_reason([status(waiting_for="PostgreSQL"), status()]) is None
    assert stall_reason([status(waiting_for="PostgreSQL")]) == "PostgreSQL"
    assert stall_reason([]) is None


# On real servers


async def test_a_snapshot_tells_lag_owners_and_rates(settings: Settings, workers: Workers) -> None:
    everything = histories(learners=60, seed=3)
    async with Operations(settings) as operations:
        await eventually(until(operations, lambda s: (s.missing, s.lag) == ({}, 0)))
        await publish(settings, everything)
        await eventually(until(operations, lambda s: s.lag == len(everything) and bool(s.incoming_per_s)))

        workers.start(group_instance_id="one")

        await eventually(until(operations, lambda s: s.lag == 0 and bool(s.applied_per_s)))
        await eventually(until(operations, lambda s: bool(s.visible_p99_s)))
        taken = await operations.snapshot()
        assert taken.group_state == "Stable"
        assert {p.owner for p in taken.partitions} == {"one"}
        [worker] = taken.workers
        assert worker.status is not None
        assert worker.member is not None
        assert (taken.advice.workers, taken.breaker) == (1, None)
        assert max(sum(point.lag.values()) for point in operations.history(every_s=0)) == len(everything)


async def test_a_snapshot_tells_the_newest_dead_letters_and_what_became_of_them(settings: Settings) -> None:
    await write_letters(settings, 230)
    async with Operations(settings) as operations:
        await eventually(until(operations, lambda s: open_letters(s) == {Kind.SCHEMA: 200}))

        await write_letters(settings, 300, Kind.TIME)
        async with Producer(**client(settings)) as producer:
            await write_resolutions(
                settings, producer, [resolved(Position(0, n), Fate.DISCARDED) for n in range(340, 530)]
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
    async with Producer(**client(settings)) as producer:
        await producer.send_all([OutgoingRecord(settings.dead_letter_topic, None, b"x", headers)])

    async with Operations(settings) as operations:
        await eventually(until(operations, lambda s: open_letters(s) == {Kind.UNKNOWN: 1}))
        taken = await operations.snapshot()

    assert taken.dead_letters is not None
    assert [(len(row.type), len(row.reason)) for row in taken.dead_letters.latest] == [(1000, 1000)]


async def test_a_snapshot_tells_what_waits_in_the_outbox(settings: Settings, connection: asyncpg.Connection) -> None:
    await put(connection, TopicPartition(settings.lesson_events_topic, 0), range(1, 4))

    async with Operations(settings) as operations:
        taken = await operations.snapshot()

    assert isinstance(taken.outbox, Outbox)
    assert taken.outbox.rows == 6


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

    assert taken.missing.keys() == {"stored", "statuses", "outbox"}
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
        await eventually(until(operations, lambda s: s.missing.keys() == {"stored", "statuses", "outbox"}))
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
