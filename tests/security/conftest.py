"""A PostgreSQL of its own that asks for passwords, set up as docs/security-postgresql.md says."""

import re
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from tests.conftest import execute, new_settings
from tests.processes import eventually
from worker.devstack import postgres_wheel, start_server
from worker.postgres.migrate import migrate
from worker.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "security-postgresql.md"
# Escaped it stands in a URL.
PASSWORD, ESCAPED = "leaked@#/mark", "leaked%40%23%2Fmark"
HBA = """\
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class Secured:
    """One server for all tests of this folder: its roles are those of the page, `progress_…`, all with PASSWORD."""

    port: int

    def url(self, login: str, database: str = "course_progress") -> str:
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"

    @property
    def admin_url(self) -> str:
        return self.url("postgres", "postgres")

    def settings(self, login: str, database: str = "course_progress") -> Settings:
        return Settings(database_url=self.url(f"{login}:{ESCAPED}", database), environment="production")


@pytest.fixture(scope="package")
async def secured() -> AsyncIterator[Secured]:
    """Its database `course_progress` is migrated by a role that may not create roles."""
    with ExitStack() as running:
        url = start_server(postgres_wheel.run_database, running, print)
        await ask_for_passwords(url)
        server = Secured(urlsplit(url).port or 0)
        await create_roles(server)
        await migrate(server.settings("progress_migrator"))
        yield server


async def ask_for_passwords(url: str) -> None:
    connection = await asyncpg.connect(url)
    directory = await connection.fetchval("show data_directory")
    await connection.execute(f"copy (select regexp_split_to_table('{HBA}', '\\n')) to '{directory}/pg_hba.conf'")
    await connection.execute("create role nobody login; select pg_reload_conf()")
    await connection.close()

    async def without_it_nobody_gets_in() -> bool:
        try:
            await (await asyncpg.connect(url, user="nobody")).close()
        except asyncpg.InvalidPasswordError:
            return True
        return False

    await eventually(without_it_nobody_gets_in)


async def create_roles(server: Secured) -> None:
    """The page's own commands."""
    [commands] = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    await execute(server.admin_url, "drop database course_progress")
    for command in commands.replace("'…'", f"'{PASSWORD}'").split(";\n")[:-1]:
        await execute(server.admin_url, command)


@pytest.fixture
async def database(secured: Secured) -> AsyncIterator[str]:
    """The name of a database of its own."""
    name = f"test_{uuid4().hex}"
    await execute(secured.admin_url, f"create database {name} template course_progress owner course_progress_owner")
    yield name
    await execute(secured.admin_url, f"drop database {name} with (force)")


@pytest.fixture
async def settings(secured: Secured, database: str, kafka_bootstrap_servers: str) -> Settings:
    """A worker's."""
    made = await new_settings(secured.url(f"progress_worker:{ESCAPED}", database), kafka_bootstrap_servers)
    return made.model_copy(update={"environment": "production"})
