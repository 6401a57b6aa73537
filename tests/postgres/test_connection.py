"""The server cuts short what takes too long, and what it cuts short is repeated."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition

from events.models import CourseAccessed
from tests.outages import swallowing
from worker.errors import DatabaseUnavailable
from worker.postgres.connection import close, connect
from worker.postgres.failures import translate_errors
from worker.postgres.pool import connect_pool
from worker.progress.fold import fold
from worker.progress.store import Store
from worker.settings import Settings
from worker.stream.outcome import Occurrence
from worker.stream.sink import Applied, Span

P0 = TopicPartition("lesson-events", 0)
NOW = datetime.now(UTC)
BATCH = fold([Occurrence(NOW, CourseAccessed(user_id=uuid4(), course_id=uuid4()), *P0)])


@pytest.fixture
def impatient(database_settings: Settings) -> Settings:
    return database_settings.model_copy(update={"database_lock_timeout_s": 0.1, "database_idle_timeout_s": 0.1})


async def test_a_row_that_somebody_holds_is_a_busy_database_and_the_batch_is_applied_when_it_is_free(
    impatient: Settings, connection: asyncpg.Connection
) -> None:
    store = Store(impatient)
    await store.apply(BATCH, {P0: Span(None, 1)})
    async with connection.transaction():
        await connection.execute("select from consumed_offset for update")

        with pytest.raises(DatabaseUnavailable) as busy:
            await store.apply(BATCH, {P0: Span(1, 2)})

    assert isinstance(busy.value.__cause__, asyncpg.LockNotAvailableError)
    assert await store.apply(BATCH, {P0: Span(1, 2)}) == Applied(announced=0)
    await store.close()


@pytest.mark.parametrize("opened", [connect, connect_pool])
async def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    database_settings: Settings, opened: Callable[[Settings], Awaitable[Any]]
) -> None:
    connection = await opened(database_settings.model_copy(update={"database_timeout_s": 3}))

    with pytest.raises(DatabaseUnavailable) as slow, translate_errors():
        await connection.fetch("select pg_sleep(60)")

    assert isinstance(slow.value.__cause__, asyncpg.QueryCanceledError)
    await connection.close()


async def test_a_transaction_left_idle_is_ended_by_the_server_and_its_locks_with_it(
    impatient: Settings, connection: asyncpg.Connection
) -> None:
    await connection.execute("insert into consumed_offset values ('g', 't', 0, 1)")
    idle = await connect(impatient)
    await idle.execute("begin; select from consumed_offset for update")

    await connection.execute("update consumed_offset set next_offset = 2")

    with pytest.raises(DatabaseUnavailable), translate_errors(idle):
        await idle.execute("commit")
    await close(idle)


async def test_who_gives_up_waiting_for_a_silent_server_is_not_kept_by_it(database_settings: Settings) -> None:
    async with swallowing(database_settings) as (proxy, behind):
        pool = await connect_pool(behind)
        await pool.fetch("select 1")
        proxy.swallow(0)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await pool.fetch("select 1")

        await pool.close()


async def test_a_pool_is_closed_also_when_nobody_is_at_the_other_end(
    database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.postgres.pool.CLOSE_WITHIN_S", 0.1)
    async with swallowing(database_settings) as (proxy, behind):
        pool = await connect_pool(behind)
        await pool.fetch("select 1")
        proxy.swallow(0)

        await pool.close()

        with pytest.raises(DatabaseUnavailable):
            await pool.fetch("select 1")
