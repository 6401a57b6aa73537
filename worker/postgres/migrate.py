"""Applies the migrations in `sql/`, forward only.

The files are numbered and have dbmate's markers, so that dbmate can run them instead.
"""

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from worker.errors import SetupError
from worker.postgres.connection import connect, server_timeouts
from worker.postgres.failures import translate_errors
from worker.settings import A_DAY_S, Settings, migrations_dir

LOCK = 7_266_741_118_021  # an arbitrary constant, by which two migrations at once take turns
MOST_DEADLOCKS = 5
BOOKKEEPING = """
create table if not exists schema_migrations (version varchar(128) primary key);
alter table schema_migrations add column if not exists checksum text;
"""


@dataclass(frozen=True)
class Migration:
    """Holds one file of `sql/`: its number, its name, its statements, and the SHA-256 of its text up to their end."""

    version: str
    name: str
    statements: str
    checksum: str


def read_migrations(folder: Path | None = None) -> list[Migration]:
    """Reads the migrations of `sql/`, in order. Raises SetupError for a file without a number or a marker."""
    files = sorted((folder or migrations_dir()).glob("*.sql"))
    return [_read_migration(file) for file in files]


def _read_migration(file: Path) -> Migration:
    text = file.read_text()
    number = re.match(r"\d+", file.name)
    up = re.search(r"^-- migrate:up[^\n]*\n(.*?)(?=^-- migrate:down|\Z)", text, re.MULTILINE | re.DOTALL)
    if not number or not up:
        raise SetupError(f"{file.name}: a migration needs a number in its name and a line `-- migrate:up`")
    return Migration(number[0], file.name, up[1], hashlib.sha256(text[: up.end()].encode()).hexdigest())


async def migrate(settings: Settings, folder: Path | None = None) -> list[str]:
    """Applies the missing migrations, each in a transaction, and returns the names of their files.

    Idempotent, and safe to run twice at once. Raises SetupError, before it changes anything, when an applied file has
    been changed or removed.
    """
    wanted = read_migrations(folder)
    # Building an index on a large table takes long, and so does waiting for another migration.
    patient = {"database_timeout_s": A_DAY_S, "database_lock_timeout_s": A_DAY_S}
    connection = await connect(settings.model_copy(update=patient))
    try:
        with translate_errors():
            await connection.execute("select pg_advisory_lock($1)", LOCK)
            await connection.execute(BOOKKEEPING)
            applied = {r["version"]: r["checksum"] for r in await connection.fetch("select * from schema_migrations")}
            _refuse_changed(wanted, applied)
            missing = [m for m in wanted if m.version not in applied]
            for migration in missing:
                await _apply_despite_deadlocks(connection, migration, settings)
            return [m.name for m in missing]
    finally:
        await connection.close()


def _refuse_changed(wanted: list[Migration], applied: dict[str, str | None]) -> None:
    for migration in wanted:
        checksum = applied.get(migration.version)
        if checksum is not None and checksum != migration.checksum:
            raise SetupError(f"{migration.name} was changed after it was applied: restore it and add a new migration")
    unknown = ", ".join(sorted(applied.keys() - {m.version for m in wanted}))
    if unknown:
        raise SetupError(f"the database has migrations that this version does not know: {unknown}: run a newer version")


async def _apply_despite_deadlocks(connection: asyncpg.Connection, migration: Migration, settings: Settings) -> None:
    """Applies a migration again when it was the victim of a deadlock with busy workers: nothing of it was applied."""
    for _ in range(MOST_DEADLOCKS):
        with suppress(asyncpg.DeadlockDetectedError):
            await _apply(connection, migration, settings)
            return
    await _apply(connection, migration, settings)


async def _apply(connection: asyncpg.Connection, migration: Migration, settings: Settings) -> None:
    async with connection.transaction():
        # A change of a table that waits for its lock makes every later statement wait too. So it gives up early.
        await connection.execute(
            "select set_config('lock_timeout', $1, true)", server_timeouts(settings)["lock_timeout"]
        )
        await connection.execute(migration.statements)
        await connection.execute(
            "insert into schema_migrations (version, checksum) values ($1, $2)",
            migration.version,
            migration.checksum,
        )
