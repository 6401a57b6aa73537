"""The promise of delivery, for each stream: lesson events, and a second one that is as small as one can be."""

from collections.abc import Awaitable, Callable
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
from worker.deadletters.replay import replay
from worker.deadletters.selection import Selection
from worker.decode import decode
from worker.kafka.topics import create_missing
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
    twice="select 0",  # applying a lesson event twice changes nothing: the notes show it
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
    assert worker.last_line["error"] == "BreakerOpen"


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

    await rewind(settings, "earliest", [])
    assert case.start(workers, "--until-idle").wait() == 0
    assert await case.names(connection) == {*numbered(20), "new"}


async def test_nothing_is_lost_while_the_database_is_away(
    case: Case, settings: Settings, workers: Workers, connection: asyncpg.Connection, admin_url: str
) -> None:
    worker = case.start(workers)
    await case.publish(settings, "before")
    await eventually(applied(case, connection, {"before"}))
    database = await connection.fetchval("select current_database()")
    others = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> $2"
    own = await connection.fetchval("select pg_backend_pid()")

    administrator = await asyncpg.connect(admin_url)
    await administrator.execute(f'alter database "{database}" allow_connections false')
    await administrator.execute(others.replace("$1", f"'{database}'").replace("$2", f"{own}"))
    await case.publish(settings, "meanwhile")

    async def is_waiting() -> bool:
        return (await worker.get("/ready")).status_code == 503

    await eventually(is_waiting)
    assert await case.names(connection) == {"before"}
    await administrator.execute(f'alter database "{database}" allow_connections true')
    await administrator.close()

    await eventually(applied(case, connection, {"before", "meanwhile"}))
    assert await connection.fetchval(case.twice) == 0
    assert worker.stop() == 0


def applied(case: Case, connection: asyncpg.Connection, names: set[str]) -> Callable[[], Awaitable[bool]]:
    async def are_applied() -> bool:
        return await case.names(connection) == names

    return are_applied


# Both in one worker, each with its topic and consumer group

BOTH = ("tests.e2e.notes", "--both")


@pytest.fixture
async def beside(settings: Settings, connection: asyncpg.Connection) -> Settings:
    """The settings by which notes are published beside lesson events."""
    stream = notes.notes_beside_lessons(settings)
    await connection.execute(notes.TABLE)
    there = settings.model_copy(update={"lesson_events_topic": stream.topic, "consumer_group": stream.group})
    await create_missing(there)
    return there


async def test_a_worker_is_idle_when_both_its_streams_are(
    settings: Settings, beside: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await LESSONS.publish(settings, *numbered(500), bad=1)
    await NOTES.publish(beside, *numbered(700), bad=1)

    assert workers.start("--until-idle", module=BOTH, batch_size=50).wait() == 0

    assert len(await LESSONS.names(connection)) == 500
    assert len(await NOTES.names(connection)) == 700
    letters = await records_of(settings, settings.dead_letter_topic, 2)
    origins = {
        tuple(dict(letter.headers)[name].decode() for name in ("dlq_topic", "dlq_consumer_group")) for letter in letters
    }
    assert origins == {(s.lesson_events_topic, s.consumer_group) for s in (settings, beside)}


async def test_each_stream_has_its_own_lag_and_partitions(
    settings: Settings, beside: Settings, workers: Workers
) -> None:
    worker = workers.start(module=BOTH)

    async def all_owned() -> bool:
        owned = await worker.metric("progress_partitions")
        return [
            owned.get(f'{{group="{s.consumer_group}",topic="{s.lesson_events_topic}"}}') for s in (settings, beside)
        ] == [settings.topic_partitions] * 2

    async def lag_of_both() -> bool:
        lag = await worker.metric("progress_lag_events")
        return [sum(f'topic="{s.lesson_events_topic}"' in labels for labels in lag) for s in (settings, beside)] == [
            settings.topic_partitions
        ] * 2

    await eventually(all_owned)
    await eventually(lag_of_both)


async def test_a_flood_in_one_stream_does_not_stop_the_other(
    settings: Settings, beside: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    worker = workers.start(module=BOTH, breaker_consecutive=20)
    await NOTES.publish(beside, bad=30)

    async def opened() -> bool:
        return "were rejected" in (await worker.get("/ready")).text

    await eventually(opened)
    await LESSONS.publish(settings, "a")

    await eventually(applied(LESSONS, connection, {"a"}))


async def test_dead_letters_of_both_streams_are_replayed_each_to_its_topic(
    settings: Settings, beside: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    for case, there in ((LESSONS, settings), (NOTES, beside)):
        await connection.execute(case.refuse_poison)
        await case.publish(there, "poison")
    assert workers.start("--until-idle", module=BOTH).wait() == 0
    for table in ("lesson_progress", "note"):
        await connection.execute(f"alter table {table} drop constraint no_poison")

    decoders = {settings.lesson_events_topic: decode, beside.lesson_events_topic: notes.decode}
    tally = await replay(settings, Selection(kinds=["refused"]), rate=100, decoders=decoders)

    assert tally.replayed == 2
    assert workers.start("--until-idle", module=BOTH).wait() == 0
    for case in (LESSONS, NOTES):
        assert await case.names(connection) == {"poison"}


async def test_rewinding_one_stream_leaves_the_other(
    settings: Settings, beside: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await LESSONS.publish(settings, "a")
    await NOTES.publish(beside, "b")
    assert workers.start("--until-idle", module=BOTH).wait() == 0
    before = await stored_offsets(connection, settings.consumer_group)

    await rewind(settings, "earliest", [], topic=beside.lesson_events_topic, group=beside.consumer_group)

    assert await stored_offsets(connection, settings.consumer_group) == before
    assert workers.start("--until-idle", module=BOTH).wait() == 0
    assert await connection.fetchval("select times from note") == 2


async def stored_offsets(connection: asyncpg.Connection, group: str) -> list[asyncpg.Record]:
    return await connection.fetch(
        "select topic, partition, next_offset from consumed_offset where consumer_group = $1 order by 1, 2", group
    )
