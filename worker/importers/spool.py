"""Keeps what was read of all files on the disk until everything is known that decides what it means."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from events.models import EPOCH, MICROSECOND
from worker.importers.records import Listed, Record

TABLES = Path(__file__).with_name("spool.sql")
BATCH = 2000
MOST_REMEMBERED = 50_000  # of what was noted, so that most repetitions do not reach the disk


class Stored(NamedTuple):
    """Holds a record as the spool gives it back."""

    kind: str
    user_id: UUID
    course: str
    lesson: str | None
    at: datetime
    id: str
    total: int | None
    reason: str | None


class Spool:
    """Holds records and facts in a temporary SQLite database, of which little is in memory."""

    def __init__(self, path: Path) -> None:
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.executescript(TABLES.read_text())
        self._rows: list[tuple[Any, ...]] = []
        self._facts: dict[str, list[tuple[Any, ...]]] = {}
        self._remembered: set[tuple[Any, ...]] = set()

    def add(self, record: Record, user_id: UUID, file: int, place: str | None = None) -> None:
        """Adds a record. `place`, JSON, is what later decides its course and lesson; without it both are known."""
        at = (record.at - EPOCH) // MICROSECOND
        when = (at, record.at.isoformat())
        what = (record.kind, user_id.bytes, record.course, record.lesson)
        self._rows.append((file, record.line, *what, *when, record.id, record.total, place, record.reason))
        if len(self._rows) >= BATCH:
            self.flush()
        if record.lesson is not None and (record.course_title or record.lesson_title or record.section):
            self.enlist(Listed(record.course, record.lesson, record.course_title, record.lesson_title, record.section))

    def enlist(self, listed: Listed, place: int = -1) -> None:
        """Adds what is known of a lesson; `place` is its number in its course's own list; -1: a record says it."""
        self.note("listed", *listed[:-1], place)

    def note(self, table: str, *values: Any) -> None:
        """Adds a row to a table of facts, unless it is there."""
        fact = (table, *values)
        if fact in self._remembered:
            return
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered.add(fact)
        self._facts.setdefault(table, []).append(tuple(map(_to_utf8, values)))

    def flush(self) -> None:
        """Writes what was added, so that statements find it."""
        with self.database as database:
            database.execute("begin")
            database.executemany(
                "insert into record (file, line, kind, user, course, lesson, at, iso, id, total, place, reason)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                self._rows,
            )
            for table, rows in self._facts.items():
                marks = ", ".join("?" * len(rows[0]))
                database.executemany(f"insert or ignore into {table} values ({marks})", rows)
        self._rows, self._facts = [], {}

    def select(self, statement: str, *values: Any) -> list[Any]:
        """Returns the rows of a statement."""
        return self.database.execute(statement, values).fetchall()

    def change(self, statement: str, rows: Iterable[tuple[Any, ...]] = ((),)) -> None:
        """Executes a statement once for each row of values, all in one transaction."""
        with self.database as database:
            database.execute("begin")
            database.executemany(statement, rows)

    def records(self) -> Iterator[Stored]:
        """Yields the records in the order of the files."""
        found = self.database.execute(
            "select kind, user, course, lesson, iso, id, total, reason from record order by seq"
        )
        for kind, user, course, lesson, iso, id, *rest in found:
            yield Stored(kind, UUID(bytes=user), course, lesson, datetime.fromisoformat(iso), id, *rest)


def _to_utf8(value: Any) -> Any:
    """Replaces in a text what cannot be written as UTF-8."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value


@contextmanager
def open_spool() -> Iterator[Spool]:
    """Yields an empty spool in a directory that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="course-progress-") as directory:
        spool = Spool(Path(directory, "spool"))
        try:
            yield spool
        finally:
            spool.database.close()
