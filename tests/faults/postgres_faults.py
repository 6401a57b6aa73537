"""Plays PostgreSQL that restarts, goes away, is slow, refuses statements, or fails over to a standby."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg

from tests.faults.fault import fault
from tests.faults.scene import Scene
from tests.faults.servers import Database
from tests.processes import eventually

AWAY_S = 30


async def restart(scene: Scene, how: signal.Signals, away_s: float = 0) -> None:
    """Restarts PostgreSQL under two workers, which the server's own time of start proves."""
    [[before]] = await scene.sql("select pg_postmaster_start_time()")
    await scene.restart(scene.servers.database, how, away_s)
    [[after]] = await scene.sql("select pg_postmaster_start_time()")
    scene.prove(after > before, "PostgreSQL was not restarted")


@fault()
async def postgres_restarted_fast(scene: Scene) -> None:
    """PostgreSQL restarted (fast)"""
    await restart(scene, signal.SIGINT)


@fault()
async def postgres_restarted_immediate(scene: Scene) -> None:
    """PostgreSQL restarted (immediate)"""
    await restart(scene, signal.SIGQUIT)


@fault()
async def postgres_away(scene: Scene) -> None:
    """PostgreSQL 30 s away"""
    await restart(scene, signal.SIGINT, AWAY_S)
    await scene.require("progress_retries_total")


@fault()
async def connections_terminated(scene: Scene) -> None:
    """the workers' connections ended by pg_terminate_backend, eight times"""
    await scene.start_two_workers()
    for _ in range(8):
        await scene.pause(0.1, 1)
        ended = await scene.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        scene.prove(bool(ended), "no worker was connected")
    scene.mark_over()


@fault(database_lock_timeout_s=3)
async def hot_rows_locked(scene: Scene) -> None:
    """PostgreSQL slow: hot rows locked for 20 s"""
    await scene.start_two_workers()
    connection = await asyncpg.connect(scene.servers.database.url(scene.database))
    try:
        async with connection.transaction():
            await connection.execute("select from course_progress_all order by random() limit 50 for update")
            await asyncio.sleep(20)
    finally:
        await connection.close()
    scene.mark_over()
    await scene.require("progress_retries_total")


@fault()
async def disk_full(scene: Scene) -> None:
    """PostgreSQL refuses every statement as if its disk were full, for 8 s"""
    await scene.start_two_workers()
    async with full_disk(scene, "consumed_offset", "outbox"):
        await asyncio.sleep(8)
    scene.mark_over()
    await scene.require("progress_retries_total")


@asynccontextmanager
async def full_disk(scene: Scene, *tables: str) -> AsyncIterator[None]:
    """Has PostgreSQL refuse during the block whatever writes to these tables, as if its disk were full."""
    await scene.execute(
        """
        create function disk_is_full() returns trigger language plpgsql as $$
            begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;
        """
    )
    for table in tables:
        on = f"before insert or update or delete on {table}"
        await scene.execute(f"create trigger disk_is_full {on} execute function disk_is_full()")
    yield
    for table in tables:  # one lock at a time: the workers hold theirs in another order
        await scene.execute(f"drop trigger disk_is_full on {table}")


@fault()
async def failed_over(scene: Scene) -> None:
    """PostgreSQL's synchronous standby promoted, the primary SIGKILLed"""
    await fail_over(scene, scene.start_two_workers)


async def fail_over(scene: Scene, begin: Callable[[], Awaitable[None]]) -> None:
    """Adds a synchronous standby, begins the load, kills the primary and puts the standby into its place."""
    async with open_standby(scene) as standby:
        await wait_for_synchronous_standby(scene)
        await begin()
        await scene.run_blocking(scene.servers.database.stop, signal.SIGKILL)
        await promote(scene, standby)
        # The new primary would wait for a standby, which it does not have.
        await scene.execute("alter system reset synchronous_standby_names")
        await scene.sql("select pg_reload_conf()")
        scene.postgres.upstream = standby.port


@asynccontextmanager
async def open_standby(scene: Scene) -> AsyncIterator[Database]:
    """Starts a standby of the database. It stays, unless an error comes before it has taken the primary's place."""
    standby = scene.servers.database.standby()
    await scene.run_blocking(standby.start)
    try:
        yield standby
    except BaseException:
        with suppress(ProcessLookupError):
            standby.close()
        raise


async def promote(scene: Scene, standby: Database) -> None:
    """Makes the standby, which runs, the scene's database."""
    scene.servers.database = standby
    [[promoted]] = await scene.sql("select pg_promote()")
    scene.prove(promoted, "the standby was not promoted")


async def wait_for_synchronous_standby(scene: Scene) -> None:
    await scene.execute("alter system set synchronous_standby_names = '*'")
    await scene.sql("select pg_reload_conf()")

    async def synchronous() -> bool:
        return bool(await scene.sql("select from pg_stat_replication where sync_state = 'sync'"))

    await eventually(synchronous)
