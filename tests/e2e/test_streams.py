"""The promise of delivery, for each stream: lesson events, and a second one that is as small as one can be."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest

from events.models import LessonCompleted
from events.producer import OutgoingRecord, Producer
from tests.e2e import notes
from tests.factories import NOW
from tests.processes import WorkerProcess, Workers, eventually
from tests.topics import record, records_of, recreate
from worker.repair.rewind import rewind
from worker.settings import Settings

USER, COURSE = UUID(int=1), UUID(int=2)


def lesson_record(settings: Settings, name: str) -> OutgoingRecord:
    lesson = LessonCompleted(user_id=USER, course_id=COURSE, lesson_id=name, total_lessons=10_000)
    return record(settings, lesson, NOW, keyed=False)


def note_record(settings: Settings, name: str) -> OutgoingRecord:
    return OutgoingRecord(settings.lesson_events_topic, None, f"note {name}".encode(), [])


@dataclass(frozen=True)
class Case:
    """A stream: how a worker of it starts, how a record is made, and the names of what was applied."""

    module: tuple[str, ...]
    record: Callable[[Settings, str], OutgoingRecord]
    setup: str
    refuse_poison: str
    applied: str
    twice: str  # how many were applied more than once

    def start(self, workers: Workers, *arguments: str, **changed: object) -> WorkerProcess:
        return workers.start(*arguments, module=self.module, **changed)

    async def publish(self, settings: Settings, *names: str, bad: int = 0) -> None:
        good = [self.record(settings, name) for name in names]
        async with Producer(settings.kafka_bootstrap_servers) as producer:
            await producer.send_all([*good, *[OutgoingRecord(settings.lesson_events_topic, None, b"{", [])] * bad])

    async def names(self, connection: asyncpg.Connection) -> set[str]:
        return {row[0] for row in await connection.fetch(self.applied)}


LESSONS = Case(
    module=("worker.cli", "worker"),
    record=lesson_record,
    setup="select",
    refuse_poison="alter table lesson_progress add constraint no_poison check (lesson_id <> 'poison')",
    applied="select lesson_id from lesson_progress where completed",
    twice="select count(*) from course_progress where lessons_completed <> (select count(*) from lesson_progress)",
)
NOTES = Case(
    module=("tests.e2e.notes",),
    record=note_record,
    setup=notes.TABLE,
    refuse_poison="alter table note add constraint no_poison check (text <> 'note poison')",
    applied="select substr(text, 6) from note",
    twice="select count(*) from note where times > 1",
)


@pytest.fixture(params=[LESSONS, NOTES], ids=["lessons", "notes"])
async def case(request: pytest.FixtureRequest, connection: asyncpg.Connection) -> Case:
    case: Case = request.param
    await connection.execute(case.setup)
    return case


def numbered(count: int) -> list[str]:
    return [f"{number:04}" for number in range(count)]


async def test_each_record_is_applied_once_though_workers_are_killed(
    case: Case, settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    names = numbered(3000)
    await case.publish(settings, *names)

    for least in (1, 1000):
        worker = case.start(workers, batch_size=50)

        async def some_applied(least: int = least) -> bool:
            return len(await case.names(connection)) >= least

        await eventually(some_applied)
        worker.kill()
    other = case.start(workers, batch_size=50)
    assert case.start(workers, "--until-idle", batch_size=50).wait() == 0
    assert other.stop() == 0

    assert await case.names(connection) == set(names)
    assert await connection.fetchval(case.twice) == 0


async def test_a_bad_record_becomes_a_dead_letter_of_its_stream(
    case: Case, settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await case.publish(settings, "a", "b", bad=1)

    assert case.start(workers, "--until-idle").wait() == 0

    assert await case.names(connection) == {"a", "b"}
    [letter] = await records_of(settings, settings.dead_letter_topic, 1)
    headers = dict(letter.headers)
    assert letter.value == b"{"
    assert headers["dlq_topic"] == settings.lesson_events_topic.encode()
    assert headers["dlq_consumer_group"] == settings.consumer_group.encode()


async def test_a_record_that_the_database_refuses_harms_no_neighbour(
    case: Case, settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute(case.refuse_poison)
    await case.publish(settings, "a", "poison", "b")

    assert case.start(workers, "--until-idle").wait() == 0

    assert await case.names(connection) == {"a", "b"}
    [letter] = await records_of(settings, settings.dead_letter_topic, 1)
    assert dict(letter.headers)["dlq_kind"] == b"refused"


async def test_a_flood_of_bad_records_opens_the_breaker(
    case: Case, settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await case.publish(settings, bad=30)

    worker = case.start(workers, "--until-idle", breaker_consecutive=20)

    assert worker.wait() == 1
    assert "were rejected: nothing more is taken" in worker.reasons[0]


async def test_a_recreated_topic_stops_the_worker_until_it_is_rewound(
    case: Case, settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await case.publish(settings, *numbered(20))
    assert case.start(workers, "--until-idle").wait() == 0
    await recreate(settings)
    await case.publish(settings, "new")

    stopped = case.start(workers, "--until-idle")
    assert stopped.wait() == 1
    assert "rewind --to earliest" in stopped.reasons[0]

    await rewind(settings, "earliest", [], topic=settings.lesson_events_topic, group=settings.consumer_group)
    assert case.start(workers, "--until-idle").wait() == 0
    assert await case.names(connection) == {*numbered(20), "new"}


async def test_nothing_is_lost_while_the_database_is_away(
    case: Case, settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    worker = case.start(workers)
    await case.publish(settings, *numbered(10))

    async def ten_applied() -> bool:
        return len(await case.names(connection)) == 10

    await eventually(ten_applied)
    for _ in range(3):
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        await asyncio.sleep(0)
    await case.publish(settings, *numbered(20))

    async def twenty_applied() -> bool:
        return len(await case.names(connection)) == 20

    await eventually(twenty_applied)
    assert worker.stop() == 0
