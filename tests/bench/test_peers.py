"""Tests that the peers do the job they are compared at, and lose by an error what their docstrings say."""

from dataclasses import replace

import asyncpg
import pytest

from events.models import CourseAccessed, LessonCompleted
from events.producer import OutgoingRecord, Producer
from tests.bench.peers import connect_jdbc, sample
from tests.bench.peers.contender import CONTENDERS, EMPTY, OURS, Contender
from tests.bench.peers.mishap import gone
from tests.processes import eventually
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.settings import Settings

EVENTS = 400
PEERS = [contender for contender in CONTENDERS if contender.name != OURS]
BY_NAME = {peer.name: peer for peer in PEERS}
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def tables(connection: asyncpg.Connection) -> asyncpg.Connection:
    await connection.execute(EMPTY)
    return connection


async def publish(settings: Settings, records: list[OutgoingRecord]) -> None:
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all(records)


async def publish_rows(settings: Settings, records: list[OutgoingRecord]) -> None:
    await connect_jdbc.create_topic(settings)
    await publish(settings, records)


def able(name: str) -> Contender:
    if BY_NAME[name].lacks:
        pytest.skip(BY_NAME[name].lacks)
    return BY_NAME[name]


@pytest.mark.parametrize("name", [peer.name for peer in PEERS if peer.whole_job])
async def test_a_peer_leaves_the_rows_that_the_rules_ask_for(
    settings: Settings, tables: asyncpg.Connection, name: str
) -> None:
    peer = able(name)
    happened = list(sample.happened(EVENTS, rows=8, lessons=5))
    await publish(settings, [sample.record(settings, event, at) for event, at in happened])

    async def all_applied() -> bool:
        return await peer.applied(settings, tables) == EVENTS

    with peer.start(settings) as process:
        await eventually(all_applied)
        assert process.stop() == 0, process.log

    assert not find_wrong_rows(expect_rows(happened), await read_rows(tables))
    announced = await tables.fetchval("select count(*) from outbox where type = 'CourseCompleted'")
    assert announced == await tables.fetchval("select sum(completion_number) from course_progress_all") > 0


async def test_connect_leaves_a_row_for_every_lesson(settings: Settings, tables: asyncpg.Connection) -> None:
    peer = able("connect_jdbc")
    happened = list(sample.happened(EVENTS, rows=8, lessons=5))
    await publish_rows(settings, list(connect_jdbc.records(settings, happened)))

    async def all_applied() -> bool:
        return await connect_jdbc.done(settings)

    with peer.start(settings) as process:
        await eventually(all_applied)
        process.stop()

    last = {(e.user_id, e.course_id, e.lesson_id): e for e, _ in happened if not isinstance(e, CourseAccessed)}
    rows = await tables.fetch("select user_id, course_id, lesson_id, completed from lesson_progress")
    assert {tuple(row) for row in rows} == {(*key, isinstance(e, LessonCompleted)) for key, e in last.items()}


@pytest.mark.parametrize(
    ("name", "at_least", "at_most"),
    [
        ("faust_events", 1, 1),
        ("faust_take", 1, 2999),  # the batch, and what the agent's queue held
        ("aiokafka_events", 1, 1),
        ("faststream_batch", 1, 2000),
        ("quix_sink", 0, 0),
    ],
)
async def test_after_one_handler_error_as_many_events_are_gone_as_the_docstring_says(
    settings: Settings, tables: asyncpg.Connection, name: str, at_least: int, at_most: int
) -> None:
    peer = able(name)
    happened = list(sample.lessons_completed(3000))
    await publish(settings, [sample.record(settings, event, at) for event, at in happened])

    assert at_least <= await gone(peer, settings, tables, happened) <= at_most


async def test_connect_waits_at_a_record_that_it_cannot_read(settings: Settings, tables: asyncpg.Connection) -> None:
    peer = able("connect_jdbc")
    happened = list(sample.lessons_completed(3000))
    rows = list(connect_jdbc.records(settings, happened))
    refused = replace(rows[0], value=connect_jdbc.REFUSED)
    await publish_rows(settings, [*rows[:1500], refused, *rows[1500:]])

    assert await gone(peer, settings, tables, happened) > 0
