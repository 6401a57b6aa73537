"""Describes the schema that the migrations of `sql/` produce: `docs/schema.sql`, for people to read.

python -m worker.postgres.schema    # writes it; --check exits 1 if it is out of date

It migrates the database of PROGRESS_DATABASE_URL and reads its system catalog, so give it a throw-away one, as
`make contract` does.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent, wrap

import asyncpg

from worker.postgres.connection import connect, query
from worker.postgres.migrate import migrate
from worker.settings import Settings

FILE = Path(__file__).parents[2] / "docs/schema.sql"
WIDTH = 120
ABOUT = """\
-- The schema that sql/ produces. To be read, not run: `make contract` writes it from a migrated database.
--
-- Everything belongs to the role course_progress_owner. PUBLIC may call none of the functions. Rule numbers are those
-- of docs/rules.md. The bookkeeping of migrations (schema_migrations) is left out.
"""


async def describe(connection: asyncpg.Connection) -> str:
    """Returns the file's text for a migrated database: tables, views, types, functions, in the order they were made."""
    relations = await connection.fetch(query("postgres/describe_relations"))
    types = await connection.fetch(query("postgres/describe_types"))
    functions = await connection.fetch(query("postgres/describe_functions"))
    parts = [ABOUT, *map(_relation, relations), *map(_function, types), *map(_function, functions)]
    return "\n".join(parts).replace("timestamp with time zone", "timestamptz")


def _relation(row: asyncpg.Record) -> str:
    if row["definition"]:
        made = f"create view {row['name']} as\n{row['definition']}"
    else:
        options = f" with ({row['options']})" if row["options"] else ""
        made = f"create table {row['name']} (\n{_columns(row)}\n){options};"
    return _lines([*_remark(row["comment"]), made, *_statements(row["indexes"]), *_statements(row["grants"])])


def _columns(row: asyncpg.Record) -> str:
    described: list[tuple[str, str | None]] = json.loads(row["columns"])
    parts = [*described, *((constraint, None) for constraint in row["constraints"])]
    return "\n".join(line for number, part in enumerate(parts, 1) for line in _column(*part, number < len(parts)))


def _column(definition: str, comment: str | None, more: bool) -> Iterator[str]:
    """Yields the lines of one column or constraint: its comment behind it, or above it where it does not fit."""
    line = indent(definition, " " * 8)[4:] + "," * more
    beside = f"{line:<50}  -- {comment}"
    if comment is None:
        yield line
    elif len(beside) <= WIDTH and "\n" not in line:
        yield beside
    else:
        yield f"    -- {comment}"
        yield line


def _function(row: asyncpg.Record) -> str:
    return _lines([*_remark(row["comment"]), f"{row['definition'].rstrip()};", *_statements(row["grants"])])


def _remark(comment: str | None) -> list[str]:
    return [f"-- {line}" for line in wrap(comment or "", WIDTH - 3)]


def _statements(statements: list[str]) -> list[str]:
    return [f"{statement};" for statement in statements]


def _lines(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


async def _describe_database() -> str:
    settings = Settings()
    await migrate(settings)
    connection = await connect(settings)
    try:
        return await describe(connection)
    finally:
        await connection.close()


def main(arguments: list[str] | None = None) -> int:
    """Returns exit status 1 if `--check` finds that the file differs from the migrations' schema."""
    parser = argparse.ArgumentParser(prog="python -m worker.postgres.schema", description="Writes docs/schema.sql.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is out of date")
    checks, text = parser.parse_args(arguments).check, asyncio.run(_describe_database())
    if not checks:
        FILE.write_text(text, "utf-8")
        return 0
    if FILE.exists() and FILE.read_text("utf-8") == text:
        return 0
    print("out of date: docs/schema.sql (make contract writes it)", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
