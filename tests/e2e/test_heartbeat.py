"""What workers say of themselves, and that they go on working when nobody can hear it."""

from typing import Any

import asyncpg

from tests.factories import histories
from tests.processes import Workers, eventually
from tests.topics import publish
from worker.settings import Settings


async def rows(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    return await connection.fetch("select * from worker_status order by worker")


async def test_workers_tell_which_partitions_they_have_what_they_do_and_how_soon_events_are_visible(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    workers.start(group_instance_id="one")
    workers.start(group_instance_id="two")
    found: dict[str, Any] = {}

    async def both_read() -> bool:
        found.update({row["worker"]: row for row in await rows(connection)})
        owned = [partition for row in found.values() for partition in row["partitions"]]
        return sorted(owned) == list(range(settings.topic_partitions)) and len(found) == 2

    async def all_have_applied() -> bool:
        return all(row["visible_p99_s"] for row in await rows(connection))

    await eventually(both_read)
    await publish(settings, histories(learners=40, seed=5))
    await eventually(all_have_applied)

    for row in await rows(connection):
        assert row["consumer_group"] == settings.consumer_group
        assert 0 <= row["busy"] <= 1
        assert row["visible_p50_s"] <= row["visible_p99_s"]
        assert (row["breaker"], row["waiting_for"]) == (None, None)


async def test_a_worker_that_stops_takes_its_row_back_and_one_that_is_killed_leaves_it(
    workers: Workers, connection: asyncpg.Connection
) -> None:
    stopped, killed = workers.start(group_instance_id="stopped"), workers.start(group_instance_id="killed")

    async def both_there() -> bool:
        return len(await rows(connection)) == 2

    await eventually(both_there)
    killed.kill()
    assert stopped.stop() == 0

    assert [row["worker"] for row in await rows(connection)] == ["killed"]


async def test_rows_of_workers_that_nobody_saw_for_a_day_are_deleted_by_another(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        """
        insert into worker_status (consumer_group, worker, host, version, started_at, seen_at, partitions,
                                   events_per_s, busy, dead_letters)
        select $1, worker, 'h', '1', now(), now() - silent, '{}', 0, 0, 0
        from (values ('yesterday', interval '25 hours'), ('today', interval '23 hours')) as w (worker, silent)
        """,
        settings.consumer_group,
    )
    workers.start(group_instance_id="new")

    async def swept() -> bool:
        return [row["worker"] for row in await rows(connection)] == ["new", "today"]

    await eventually(swept)


async def test_a_worker_whose_status_cannot_be_told_does_its_work_all_the_same(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute("drop table worker_status")
    await publish(settings, histories(learners=10, seed=6))

    assert workers.start("--until-idle", environment="production").wait() == 0

    assert await connection.fetchval("select count(*) from course_progress") > 0
