"""Reads a table of how far learners are by another system: a line for each learner and course."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from worker.errors import ProgressError
from worker.importers.identity import Identities, Learner, make_uuid
from worker.importers.opening import Part, open_parts
from worker.importers.records import Malformed, Skipped, Unreadable, read_time
from worker.importers.tables import Row, need, read_objects, read_rows

NEEDED = ("user", "course")
SAID = ("lessons_completed", "progress_percentage", "completed_at")  # one of them at least; as `export progress`
PERCENTAGE = re.compile(r"([0-9]{1,3}(?:[.,][0-9]+)?) ?%?")


class OverviewLine(NamedTuple):
    """Says how far a learner is in a course. `dated`: the table has a column for when a course was completed."""

    user_id: UUID
    course_id: UUID
    lessons: int | None
    percentage: float | None
    completed_at: datetime | None
    dated: bool


def read_overview(
    path: str, columns: Mapping[str, str], identities: Identities, site: str | None = None
) -> Iterator[OverviewLine | Malformed | Skipped]:
    """Yields the lines of a table, CSV or JSON lines. `columns` has our names by theirs. Raises ProgressError."""
    for part in open_parts(path):
        for each in _read_part(part, columns):
            if isinstance(each, Malformed):
                yield each
                continue
            try:
                yield _read_line(each[1], identities, site) or Skipped("learner not in --users")
            except ValueError as error:  # Unreadable is one
                yield Malformed(each[0], str(error))


def _read_part(part: Part, columns: Mapping[str, str]) -> Iterable[tuple[int, Row] | Malformed]:
    as_json = part.head.lstrip("\ufeff \t\r\n").startswith(("{", "["))
    rows = read_objects(part, columns) if as_json else read_rows(part, columns, NEEDED)
    first = next(rows, None)
    if isinstance(first, tuple) and not set(SAID) & first[1].keys():
        raise ProgressError(
            f"{part.name} has none of the columns {', '.join(SAID)}: --columns theirs=ours renames them"
        )
    if first is not None:
        yield first
    yield from rows


def _read_line(row: Row, identities: Identities, site: str | None) -> OverviewLine | None:
    user_id = identities.find(Learner(need(row, "user"), site))
    if user_id is None:
        return None
    done = row.get("completed_at")
    return OverviewLine(
        user_id,
        make_uuid(need(row, "course")),
        _read_number(row.get("lessons_completed")),
        _read_percentage(row.get("progress_percentage")),
        None if done is None else _read_done(done),
        "completed_at" in row,
    )


def _read_done(value: object) -> datetime:
    """Reads when a course was completed. A day alone is its beginning in UTC, compared with `--tolerance 1d`."""
    day = re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", str(value))
    return read_time(value, naive_is_utc=day is not None)


def _read_number(value: object) -> int | None:
    if value is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", str(value)):
        raise Unreadable(f"lessons_completed: {value!r} is no number")
    return int(str(value))


def _read_percentage(value: object) -> float | None:
    if value is None:
        return None
    found = PERCENTAGE.fullmatch(str(value))
    if not found:
        raise Unreadable(f"progress_percentage: {value!r} is no percentage")
    return float(found[1].replace(",", "."))
