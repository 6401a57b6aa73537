"""Reads what is exported in one snapshot, and writes it as CSV, JSON lines or xAPI statements, row by row."""

import csv
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal, TextIO, TypeAlias
from uuid import UUID

import asyncpg

from worker.exports.facts import Fact, list_facts
from worker.exports.statements import state_facts, state_progress
from worker.plain_text import to_json
from worker.postgres.connection import close, connect, query
from worker.postgres.failures import translate_errors
from worker.settings import Settings

What: TypeAlias = Literal["progress", "lessons"]
Format: TypeAlias = Literal["csv", "jsonl", "xapi"]
PROGRESS_COLUMNS = (
    *("user", "course", "lessons_completed", "total_lessons", "progress_percentage", "started_at", "last_accessed_at"),
    *("completed_at", "completion_number", "course_version", "lessons_waived"),
)
AT_ONCE = 1_000  # rows that are fetched together


@asynccontextmanager
async def open_snapshot(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Connects, and reads all that follows as it is now, though workers go on. Raises DatabaseUnavailable."""
    # Whoever reads the file decides how long it takes.
    connection = await connect(settings, idle_in_transaction_session_timeout="0", enable_sort="off", jit="off")
    try:
        with translate_errors(connection):
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield connection
    finally:
        await close(connection)


async def write_rows(
    connection: asyncpg.Connection, writer: "Writer", user_id: UUID | None = None, course_id: UUID | None = None
) -> AsyncIterator[int]:
    """Writes each progress row, or its facts, and yields how many lines that were."""
    if writer.what == "progress":
        async for row in read_progress(connection, user_id, course_id):
            yield writer.write_progress(row)
    else:
        async for facts in read_facts(connection, user_id, course_id):
            yield writer.write_facts(facts)


async def read_progress(
    connection: asyncpg.Connection, user_id: UUID | None = None, course_id: UUID | None = None
) -> AsyncIterator[asyncpg.Record]:
    """Yields the progress rows, with PROGRESS_COLUMNS, in the order of users and courses."""
    async for row in connection.cursor(query("exports/progress"), user_id, course_id, prefetch=AT_ONCE):
        yield row


async def read_facts(
    connection: asyncpg.Connection, user_id: UUID | None = None, course_id: UUID | None = None
) -> AsyncIterator[list[Fact]]:
    """Yields the facts of each progress row, in the order of users and courses."""
    rows: list[asyncpg.Record] = []
    async for row in connection.cursor(query("exports/lessons"), user_id, course_id, prefetch=AT_ONCE):
        if rows and (row["user_id"], row["course_id"]) != (rows[0]["user_id"], rows[0]["course_id"]):
            yield list_facts(rows)
            rows = []
        rows.append(row)
    if rows:
        yield list_facts(rows)


class Writer:
    """Writes rows to a text. `site` is the home page of the learners' accounts in xAPI statements."""

    def __init__(self, out: TextIO, what: What, format: Format, site: str = "") -> None:
        self.what = what
        self._out, self._format, self._site = out, format, site
        self._columns = PROGRESS_COLUMNS if what == "progress" else Fact._fields
        self._csv = csv.writer(out)
        if format == "csv":
            self._csv.writerow(self._columns)

    def write_progress(self, row: asyncpg.Record) -> int:
        """Writes a progress row. Returns how many lines that were."""
        if self._format == "xapi":
            return self._write_json([state_progress(row, self._site)])
        return self._write_rows([[row[name] for name in self._columns]])

    def write_facts(self, facts: list[Fact]) -> int:
        """Writes the facts of a progress row. Returns how many lines that were."""
        if self._format == "xapi":
            return self._write_json(state_facts(facts, self._site))
        return self._write_rows(facts)

    def _write_rows(self, rows: Iterable[Iterable[Any]]) -> int:
        if self._format == "jsonl":
            return self._write_json(self._name(row) for row in rows)
        lines = [[format_time(cell) if isinstance(cell, datetime) else cell for cell in row] for row in rows]
        self._csv.writerows(lines)
        return len(lines)

    def _name(self, row: Iterable[Any]) -> dict[str, Any]:
        named = zip(self._columns, row, strict=True)
        return {name: format_time(value) if isinstance(value, datetime) else value for name, value in named}

    def _write_json(self, values: Iterable[Any] | Iterator[Any]) -> int:
        lines = [to_json(value) + "\n" for value in values]
        self._out.writelines(lines)
        return len(lines)


def format_time(at: datetime) -> str:
    """Formats a time as the events have it, with its offset from UTC."""
    return at.isoformat().replace("+00:00", "Z")
