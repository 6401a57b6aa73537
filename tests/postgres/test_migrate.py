"""Migrations: applied once, in order, by however many at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from tests.databases import execute, url_of
from tests.processes import eventually
from worker.errors import DatabaseUnavailable, SetupError
from worker.postgres.migrate import migrate, read_migrations
from worker.settings import Settings, migrations_dir


@pytest.fixture
async def empty(admin_url: str) -> AsyncIterator[Settings]:
    """A database without tables."""
    name = f"empty_{uuid4().hex}"
    await execute(admin_url, f"create database {name}")
    yield Settings(database_url=url_of(admin_url, name))
    await execute(admin_url, f"drop database {name} with (force)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_one.sql").write_text("-- migrate:up\ncreate table one ();\n-- migrate:down\ndrop table one;\n")
    (tmp_path / "0002_two.sql").write_text("-- migrate:up\ncreate table two ();\n")
    return tmp_path


async def test_two_at_once_apply_each_file_once(empty: Settings) -> None:
    applied = await asyncio.gather(*(migrate(empty) for _ in range(3)))

    assert sorted(applied, key=len) == [[], [], [m.name for m in read_migrations()]]


async def test_a_new_file_is_applied_alone(empty: Settings, folder: Path) -> None:
    await migrate(empty, folder)
    (folder / "0003_three.sql").write_text("-- migrate:up\ncreate table three ();\n")

    assert await migrate(empty, folder) == ["0003_three.sql"]


async def test_a_changed_file_is_refused_before_anything_is_applied(empty: Settings, folder: Path) -> None:
    await migrate(empty, folder)
    (folder / "0001_one.sql").write_text("-- migrate:up\ncreate table other ();\n")
    (folder / "0003_three.sql").write_text("-- migrate:up\ncreate table three ();\n")

    with pytest.raises(SetupError, match="0001_one"):
        await migrate(empty, folder)

    connection = await asyncpg.connect(empty.database_url.get_secret_value())
    assert await connection.fetchval("select to_regclass('three')") is None
    await connection.close()


def test_every_file_has_the_down_block_that_dbmate_asks_for_and_it_is_empty() -> None:
    texts = [file.read_text() for file in migrations_dir().glob("*.sql")]

    assert len(texts) >= 2
    assert [text[-80:] for text in texts if not text.endswith("\n-- migrate:down\n")] == []


async def test_what_is_never_run_may_change(empty: Settings, folder: Path) -> None:
    await migrate(empty, folder)
    (folder / "0002_two.sql").write_text("-- migrate:up\ncreate table two ();\n-- migrate:down\n")

    assert await migrate(empty, folder) == []


async def test_a_newer_database_is_refused(empty: Settings, folder: Path) -> None:
    await migrate(empty, folder)
    (folder / "0002_two.sql").unlink()

    with pytest.raises(SetupError, match="0002"):
        await migrate(empty, folder)


async def test_a_failing_file_leaves_nothing_of_itself(empty: Settings, folder: Path) -> None:
    (folder / "0002_two.sql").write_text("-- migrate:up\ncreate table two ();\nselect 1/0;\n")

    with pytest.raises(Exception, match="division by zero"):
        await migrate(empty, folder)

    (folder / "0002_two.sql").write_text("-- migrate:up\ncreate table two ();\n")
    assert await migrate(empty, folder) == ["0002_two.sql"]


async def test_the_victim_of_a_deadlock_is_applied_again(empty: Settings, folder: Path) -> None:
    await migrate(empty, folder)
    (folder / "0003_locks.sql").write_text(
        "-- migrate:up\nlock table one in access exclusive mode;\nlock table two in access exclusive mode;\n"
    )
    waiting = "relation = 'two'::regclass and not granted"
    busy = await asyncpg.connect(empty.database_url.get_secret_value())
    async with busy.transaction():
        await busy.execute("lock table two in access exclusive mode")
        migrating = asyncio.create_task(migrate(empty, folder))

        async def waits() -> bool:
            return bool(await busy.fetchval(f"select count(*) from pg_locks where {waiting}"))

        await eventually(waits)
        await busy.execute("lock table one in access exclusive mode")  # the migration waited first, so it is the victim

    assert await migrating == ["0003_locks.sql"]
    await busy.close()


async def test_a_file_takes_as_long_as_it_takes_and_another_migration_waits_for_it(
    empty: Settings, folder: Path
) -> None:
    (folder / "0002_two.sql").write_text("-- migrate:up\nselect pg_sleep(1);\n")
    short = empty.model_copy(update={"database_timeout_s": 0.5, "database_lock_timeout_s": 0.1})

    applied = await asyncio.gather(migrate(short, folder), migrate(short, folder))

    assert sorted(applied) == [[], ["0001_one.sql", "0002_two.sql"]]


async def test_a_change_of_a_table_that_somebody_holds_gives_up_and_can_be_repeated(
    empty: Settings, folder: Path
) -> None:
    await migrate(empty, folder)
    (folder / "0003_three.sql").write_text("-- migrate:up\nalter table one add column number int;\n")
    connection = await asyncpg.connect(empty.database_url.get_secret_value())
    async with connection.transaction():
        await connection.execute("select from one")

        with pytest.raises(DatabaseUnavailable, match="lock timeout"):
            await migrate(empty.model_copy(update={"database_lock_timeout_s": 0.1}), folder)

    await connection.close()
    assert await migrate(empty, folder) == ["0003_three.sql"]
