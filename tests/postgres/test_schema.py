"""Tests that docs/schema.sql is the schema that the migrations produce, with comments that explain it."""

import asyncpg

from tests.databases import execute, new_database
from worker.postgres.schema import FILE, describe


async def test_the_file_is_the_schema_of_the_migrations(connection: asyncpg.Connection) -> None:
    assert FILE.read_text("utf-8") == await describe(connection), "`make contract` writes docs/schema.sql"


async def test_the_file_is_sql_that_makes_the_same(admin_url: str, connection: asyncpg.Connection) -> None:
    """The file defines the same tables, views and functions as the system catalog. Comments are not compared."""
    async with new_database(admin_url, "template1") as url:
        await execute(url, FILE.read_text("utf-8"))
        copy = await asyncpg.connect(url)
        made, wanted = without_comments(await describe(copy)), without_comments(await describe(connection))
        await copy.close()

    assert made == wanted


def without_comments(text: str) -> list[str]:
    return [line.split("  -- ")[0].rstrip() for line in text.splitlines() if not line.lstrip().startswith("--")]


async def test_every_table_view_and_function_says_what_it_is_for(connection: asyncpg.Connection) -> None:
    silent = await connection.fetch(
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')"
        " and relname <> 'schema_migrations' and obj_description(oid, 'pg_class') is null"
        " union all select proname from pg_proc where pronamespace = 'public'::regnamespace"
        " and obj_description(oid, 'pg_proc') is null"
    )

    assert silent == []
