"""Stored offsets move back at any time, forward only when asked to, and never under a worker."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition

from events.models import CourseAccessed
from events.producer import Producer
from tests.cli.test_main import NOWHERE, run
from tests.conftest import execute, url_of
from tests.histories import NOW, Happened, histories, publish, record, recreate
from tests.processes import Workers, environment, eventually
from worker.errors import SetupError
from worker.progress.reference import expected, stored, wrong_rows
from worker.repair.recount import Scope, Verify, connected
from worker.repair.rewind import Move, Target, rewind
from worker.settings import Settings

USER = uuid4()
TP = TopicPartition("lesson-events", 0)


def accesses(number: int) -> list[Happened]:
    """All of one partition."""
    return [(CourseAccessed(user_id=USER, course_id=uuid4()), NOW) for _ in range(number)]


async def offsets(connection: asyncpg.Connection) -> dict[int, int]:
    return dict(await connection.fetch("select partition, next_offset from consumed_offset"))


async def assert_right(connection: asyncpg.Connection, settings: Settings, happened: Sequence[Happened]) -> None:
    """The rows are what the model says, and what their lesson rows say."""
    assert wrong_rows(expected(happened), await stored(connection)) == []
    ours = await connected(settings)
    assert [difference async for difference in Verify(ours, Scope(), say=print).differences()] == []
    await ours.close()


@pytest.mark.parametrize(
    ("move", "skipped"),
    [
        (Move(TP, stored=8, first=2, end=9, to=2), 0),
        (Move(TP, stored=8, first=2, end=9, to=9), 1),
        (Move(TP, stored=1, first=4, end=9, to=4), 0),  # what retention deleted is gone already
        (Move(TP, stored=None, first=2, end=9, to=2), 0),
        (Move(TP, stored=None, first=2, end=9, to=5), 3),
        (Move(TP, stored=50, first=0, end=9, to=5), 5),  # beyond the log: of another one
        (Move(TP, stored=8, first=0, end=9, to=5, recreated=True), 5),
    ],
)
def test_what_would_never_be_applied_is_counted(move: Move, skipped: int) -> None:
    assert move.skipped == skipped


async def test_a_recreated_topic_is_applied_from_its_start(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    before, after = histories(learners=20, seed=21), histories(learners=60, seed=22)
    await publish(settings, before)
    assert workers.start("--until-idle").wait() == 0
    await recreate(settings)
    await publish(settings, after)
    assert workers.start("--until-idle").wait() == 1
    partial = run("rewind", "--to", "earliest", "--partition", "0", **environment(settings))

    status, output, errors = run("rewind", "--to", "earliest", **environment(settings))

    assert (partial[0], "without --partition" in partial[2]) == (1, True)
    assert (status, errors, output.count("→ 0, ")) == (0, "", 4)
    assert workers.start("--until-idle").wait() == 0
    await assert_right(connection, settings, [*before, *after])


async def test_a_worker_on_a_restored_database_catches_up_by_itself(
    settings: Settings, workers: Workers, admin_url: str
) -> None:
    happened = histories(learners=60, seed=23)
    await publish(settings, happened[:300])
    assert workers.start("--until-idle").wait() == 0
    name = settings.database_url.get_secret_value().rsplit("/", 1)[1]
    await execute(admin_url, f"create database {name}_copy template {name}")
    await publish(settings, happened[300:])
    assert workers.start("--until-idle").wait() == 0
    url = url_of(admin_url, f"{name}_copy")

    assert workers.start("--until-idle", database_url=url).wait() == 0

    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    await assert_right(connection, Settings(database_url=url), happened)
    await connection.close()
    await execute(admin_url, f"drop database {name}_copy with (force)")


async def test_events_are_applied_again_from_an_offset_a_time_or_the_start(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    happened = accesses(10)
    began_ms = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all(
            [
                replace(record(settings, event, at), timestamp_ms=began_ms + 1000 * number)
                for number, (event, at) in enumerate(happened)
            ]
        )
    assert workers.start("--until-idle").wait() == 0
    [partition] = await offsets(connection)
    targets: list[tuple[Target, int]] = [
        (7, 7),
        (datetime(2026, 11, 1, 0, 0, 4, tzinfo=UTC), 4),
        (datetime(2026, 10, 1, tzinfo=UTC), 0),
        ("earliest", 0),
    ]
    for to, offset in targets:
        await connection.execute("delete from course_progress_all")

        [move] = await rewind(settings, to, [partition])

        assert (move.stored, move.to, await offsets(connection)) == (10, offset, {partition: offset})
        assert workers.start("--until-idle").wait() == 0
        assert await connection.fetchval("select count(*) from course_progress") == 10 - offset


async def test_a_dry_run_changes_nothing(settings: Settings, workers: Workers, connection: asyncpg.Connection) -> None:
    await publish(settings, accesses(3))
    assert workers.start("--until-idle").wait() == 0
    [partition] = await offsets(connection)

    status, output, _ = run("rewind", "--to", "earliest", "--dry-run", **environment(settings))

    assert status == 0
    assert f"would move {settings.lesson_events_topic}[{partition}]: 3 → 0, 3 to read\n" in output
    assert await offsets(connection) == {partition: 3}


async def test_events_are_skipped_only_when_that_is_asked_for(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    await publish(settings, accesses(5))
    ends = {move.tp.partition: move.end for move in await rewind(settings, "earliest", [])}
    [partition] = [number for number, end in ends.items() if end]

    with pytest.raises(SetupError, match=r"3 events would never be applied.*--skip"):
        await rewind(settings, 3, [partition])
    with pytest.raises(SetupError, match="--skip"):
        await rewind(settings, datetime.now(UTC).replace(year=2099), [])
    assert await offsets(connection) == {}
    [move] = await rewind(settings, 3, [partition], skip=True)

    assert (move.skipped, await offsets(connection)) == (3, {partition: 3})


@pytest.mark.parametrize(
    ("to", "partition", "why"),
    [(6, 0, "offset 6 is not in it"), ("earliest", 9, "no partition 9")],
)
async def test_what_is_not_there_cannot_be_gone_back_to(
    settings: Settings, to: Target, partition: int, why: str
) -> None:
    with pytest.raises(SetupError, match=why):
        await rewind(settings, to, [partition], skip=True)


async def test_it_refuses_while_a_worker_runs_and_until_a_killed_one_is_given_up(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await publish(settings, accesses(5))
    worker = workers.start(group_instance_id="worker-1")

    async def applied() -> bool:
        return sum((await offsets(connection)).values()) == 5

    await eventually(applied)
    [partition] = await offsets(connection)
    with pytest.raises(SetupError, match=r"worker-1.*stop the workers first"):
        await rewind(settings, "earliest", [partition])
    worker.kill()
    with pytest.raises(SetupError, match="PROGRESS_SESSION_TIMEOUT_S is over, by these settings 6 s"):
        await rewind(settings, "earliest", [])

    async def done() -> bool:
        try:
            await rewind(settings, "earliest", [])
        except SetupError:
            return False
        return True

    await eventually(done)
    assert await offsets(connection) == {partition: 0}


async def test_a_worker_that_began_meanwhile_is_not_overwritten(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await publish(settings, accesses(5))
    assert workers.start("--until-idle").wait() == 0

    async def waits() -> bool:
        return bool(
            await connection.fetchval(
                "select count(*) from pg_locks where not granted and pid in"
                " (select pid from pg_stat_activity where datname = current_database())"
            )
        )

    async with connection.transaction():
        await connection.execute("update consumed_offset set next_offset = next_offset + 1")
        rewinding = asyncio.create_task(rewind(settings, "earliest", []))
        await eventually(waits)
    with pytest.raises(SetupError, match=r"moved .* meanwhile.*Nothing was changed"):
        await rewinding

    assert list((await offsets(connection)).values()) == [6]


async def test_a_worker_that_runs_on_goes_where_it_was_rewound_to(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that began between the question who is alive and the answer."""
    await publish(settings, accesses(5))
    worker = workers.start()

    async def applied() -> bool:
        return await connection.fetchval("select count(*) from course_progress") == 5

    async def nobody(*_: object) -> None: ...

    await eventually(applied)
    await connection.execute("delete from course_progress_all")
    monkeypatch.setattr("worker.repair.rewind.require_no_worker", nobody)
    await rewind(settings, "earliest", [])
    await publish(settings, accesses(1))

    async def all_applied() -> bool:
        return await connection.fetchval("select count(*) from course_progress") == 6

    await eventually(all_applied)
    assert worker.stop() == 0


@pytest.mark.parametrize(
    "arguments",
    [["--to", "yesterday"], ["--to", "5"], ["--to", "-5", "--partition", "1"], []],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line_and_status_2(arguments: list[str]) -> None:
    status, output, errors = run("rewind", *arguments, **NOWHERE)

    assert (status, output, errors.count("\n")) == (2, "", 1)


def test_kafka_that_is_away_is_one_line_and_status_1() -> None:
    status, output, errors = run("rewind", "--to", "earliest", **NOWHERE)

    assert (status, output, errors.count("\n")) == (1, "", 1)
