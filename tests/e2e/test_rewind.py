"""Whole workers go on from the offsets that a rewind stored."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest

from events.producer import Producer
from tests.command_line import run
from tests.databases import execute, offsets, url_of
from tests.factories import Happened, accesses, histories
from tests.processes import Workers, environment, eventually
from tests.topics import publish, record, recreate
from worker.errors import SetupError
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.repair.recount import Scope, Verify, connect_to_recount
from worker.repair.rewind import Target, rewind
from worker.settings import Settings


async def assert_right(connection: asyncpg.Connection, settings: Settings, happened: Sequence[Happened]) -> None:
    """The rows are what the model says, and what their lesson rows say."""
    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    ours = await connect_to_recount(settings)
    assert [difference async for difference in Verify(ours, Scope(), say=print).differences()] == []
    await ours.close()


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
