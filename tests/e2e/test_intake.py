"""The intake in bad weather: what was fetched is applied once, whatever comes and goes meanwhile."""

import asyncio
import signal
from uuid import uuid4

import asyncpg

from events.models import CourseAccessed
from tests.databases import count_applied, execute, wait_until_applied
from tests.factories import NOW, histories
from tests.processes import Workers, eventually
from tests.topics import publish
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.settings import Settings


async def test_partitions_that_move_while_the_database_is_away_lose_nothing(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, admin_url: str
) -> None:
    happened = histories(learners=150, seed=51)
    first = workers.start(batch_size=50)
    await publish(settings, happened[:200])

    async def waits() -> bool:
        return (await first.get("/ready")).status_code == 503

    async def shared() -> bool:
        before, other = (worker.count_assignments(settings.lesson_events_topic) for worker in (first, second))
        return before > 1 and other > 0

    await wait_until_applied(connection, 200)
    name = await connection.fetchval("select current_database()")
    await execute(admin_url, f"alter database {name} allow_connections false")
    mine = await connection.fetchval("select pg_backend_pid()")
    ours = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}' and pid <> {mine}"
    await execute(admin_url, ours)
    await publish(settings, happened[200:])
    await eventually(waits)
    second = workers.start(batch_size=50, environment="production")
    await eventually(shared)
    assert second.stop() == 0
    await execute(admin_url, f"alter database {name} allow_connections true")

    await wait_until_applied(connection, len(happened))
    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []


async def test_connections_lost_amid_batches_cost_nothing(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    happened = histories(learners=300, seed=52)
    await publish(settings, happened)
    worker = workers.start(batch_size=20)
    lost = 0

    async def all_applied() -> bool:
        nonlocal lost
        if lost < 20 and await count_applied(connection):  # a worker that starts ends without its database
            lost += await connection.fetchval(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid() and state = 'active'"
            )
        return await count_applied(connection) == len(happened)

    await eventually(all_applied)

    assert lost > 0
    assert worker.stop() == 0
    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []


async def test_a_worker_that_was_silent_for_longer_than_its_session_goes_on_where_the_database_is(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    happened = [(CourseAccessed(user_id=uuid4(), course_id=uuid4()), NOW) for _ in range(400)]
    first = workers.start(batch_size=10)
    await publish(settings, happened[:100])

    await wait_until_applied(connection, 100)
    first.process.send_signal(signal.SIGSTOP)
    await publish(settings, happened[100:])
    second = workers.start(batch_size=10)

    await wait_until_applied(connection, len(happened))
    first.process.send_signal(signal.SIGCONT)

    async def both_ready() -> bool:
        answers = [(await worker.get("/ready")).json() for worker in (first, second)]
        return all(a["ready"] for a in answers) and sum(len(a["partitions"]) for a in answers) == 4

    await eventually(both_ready)
    assert await connection.fetchval("select count(*) from course_progress") == len(happened)
    assert await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in (first, second))) == [0, 0]
