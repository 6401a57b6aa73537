"""Sets up a PostgreSQL that asks for passwords, as docs/security-postgresql.md says."""

import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.databases import execute
from tests.processes import eventually
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
    """Holds the port of one server for all tests of this folder.

    Its roles are those of the page, `progress_…`, all with PASSWORD.
    """

    port: int

    def url(self, login: str, database: str = "course_progress") -> str:
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"

    @property
    def admin_url(self) -> str:
        return self.url("postgres", "postgres")

    def settings(self, login: str, database: str = "course_progress") -> Settings:
        return Settings(database_url=self.url(f"{login}:{ESCAPED}", database), environment="production")


async def ask_for_passwords(url: str) -> None:
    connection = await asyncpg.connect(url)
    directory = await connection.fetchval("show data_directory")
    await connection.execute(f"copy (select regexp_split_to_table('{HBA}', '\\n')) to '{directory}/pg_hba.conf'")
    await connection.execute("create role passwordless login; select pg_reload_conf()")
    await connection.close()

    async def is_asking() -> bool:
        try:
            await (await asyncpg.connect(url, user="passwordless")).close()
        except asyncpg.InvalidPasswordError:
            return True
        return False

    await eventually(is_asking)


async def create_roles(server: Secured) -> None:
    """Runs the page's own commands."""
    [commands] = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    await execute(server.admin_url, "drop database course_progress")
    for command in commands.replace("'…'", f"'{PASSWORD}'").split(";\n")[:-1]:
        await execute(server.admin_url, command)
