"""Reads tables of what learners did: CSV whose first line names the columns, or JSON lines with the same names."""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from worker.errors import ProgressError
from worker.importers.formats import name_lines
from worker.importers.identity import Learner
from worker.importers.json_stream import Broken, JsonStream
from worker.importers.opening import Part
from worker.importers.records import Kind, Malformed, Outcome, Record, Unreadable, make_id, read_lesson, read_time

COLUMNS = (
    "event",
    "user",
    "course",
    "lesson",
    "total",
    "time",
    "id",
    "course_title",
    "lesson_title",
    "section",
    "reason",
)
NEEDED = ("user", "course", "time")
NOTHING = ("", "NULL", "null", "\\N")
EVENTS: Mapping[str, Kind] = {
    "completed": "completed",
    "lessoncompleted": "completed",
    "uncompleted": "uncompleted",
    "lessonuncompleted": "uncompleted",
    "accessed": "accessed",
    "courseaccessed": "accessed",
    "lessonwaived": "waived",
    "lessonwaiverwithdrawn": "withdrawn",
}
Row = dict[str, Any]


@dataclass
class TableReader:
    """Reads rows with COLUMNS. `columns` has our names by theirs; `as_json`: JSON lines; `site` gave the users' ids."""

    columns: Mapping[str, str] = field(default_factory=dict)
    as_json: bool = False
    site: str | None = None
    warnings: list[str] = field(default_factory=list)

    def read(self, part: Part, file: int) -> Iterator[Outcome]:
        """Yields what each row says. Raises ProgressError for a text without the columns that are needed."""
        rows = read_objects(part, self.columns) if self.as_json else read_rows(part, self.columns, NEEDED)
        yield from read_each(rows, self.read_row)

    def read_row(self, row: Row, line: int) -> Record:
        """Reads one row. Raises Unreadable."""
        event = str(row.get("event") or "completed")
        kind = EVENTS.get(event.replace("_", "").lower())
        if kind is None:
            raise Unreadable(f"event: {event!r} is not completed, uncompleted or accessed")
        user, course = need(row, "user"), need(row, "course")
        lesson = row.get("lesson")
        if lesson is None and kind != "accessed":
            raise Unreadable("lesson: missing")
        at = row.get("time")
        return Record(
            kind,
            Learner(user, self.site),
            course,
            None if lesson is None else read_lesson(str(lesson)),
            read_time(at),
            str(row.get("id") or make_id(kind, user, course, lesson, at)),
            line,
            read_total(row.get("total")),
            *read_titles(row),
            read_reason(row.get("reason"), kind),
        )


def read_each(rows: Iterator[tuple[int, Row] | Malformed], read: Callable[[Row, int], Outcome]) -> Iterator[Outcome]:
    """Reads each row, and yields in its place why it cannot be read."""
    for each in rows:
        if isinstance(each, Malformed):
            yield each
            continue
        line, row = each
        try:
            yield read(row, line)
        except Unreadable as error:
            yield Malformed(line, str(error))


def read_rows(part: Part, columns: Mapping[str, str], needed: tuple[str, ...]) -> Iterator[tuple[int, Row] | Malformed]:
    """Yields the rows of CSV, with commas, semicolons or tabs, by lower-case names; empty cells are None.

    Raises ProgressError where a column that is needed is not there.
    """
    first = part.head.lstrip("\ufeff\r\n").partition("\n")[0]
    rows = csv.reader(_without_zeros(part.text), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        names = [rename(name, columns) for name in next(rows, [])]
    except csv.Error:
        names = []
    missing = [name for name in needed if name not in names]
    if missing or len(set(names)) < len(names):
        what = f"needs the columns {', '.join(missing)}" if missing else "has a column twice"
        raise ProgressError(f"{part.name} {what}; this is {name_lines(part.head)}. --columns theirs=ours renames them")
    while True:
        try:
            cells = next(rows, None)
        except csv.Error as error:
            yield Malformed(rows.line_num, f"no CSV: {error}")
            continue
        if cells is None:
            return
        if len(cells) == len(names):
            yield rows.line_num, {name: tidy(cell) for name, cell in zip(names, cells, strict=True)}
        elif cells:
            yield Malformed(rows.line_num, f"{len(cells)} cells, and the first line has {len(names)}")


def _without_zeros(text: TextIO) -> Iterator[str]:
    """Yields lines without the character that the csv module refuses."""
    return (line.replace("\x00", "") for line in text)


def read_objects(part: Part, columns: Mapping[str, str]) -> Iterator[tuple[int, Row] | Malformed]:
    """Yields the objects of JSON lines, by lower-case names. Raises ProgressError for a text that is no JSON."""
    found = name_lines(part.head)
    if not part.head.lstrip("\ufeff \t\r\n\x1e").startswith(("{", "[")) or (found != "JSON" and not columns):
        raise ProgressError(f"{part.name} has no JSON lines with user, course and time; this is {found}")
    for each in JsonStream(part.text):
        if isinstance(each, Broken):
            yield Malformed(each.line, each.reason)
        elif isinstance(each[1], dict):
            yield each[0], {rename(name, columns): tidy(value) for name, value in each[1].items()}
        else:
            yield Malformed(each[0], "not an object")


def rename(name: str, columns: Mapping[str, str]) -> str:
    """Returns our name of a column."""
    plain = name.strip().strip("\ufeff").lower()
    return columns.get(plain, plain)


def tidy(value: Any) -> Any:
    """Returns a value without the space around it, and None for what databases write for nothing."""
    if not isinstance(value, str):
        return value
    value = value.strip()
    return None if value in NOTHING else value


def need(row: Row, name: str) -> str:
    """Returns the text of a cell. Raises Unreadable without one."""
    value = row.get(name)
    if value is None or isinstance(value, (dict, list, bool)):
        raise Unreadable(f"{name}: missing")
    return str(value)


def read_total(value: Any) -> int | None:
    """Reads how many lessons a course has. Raises Unreadable."""
    if value is None:
        return None
    try:
        total = int(str(value))
    except ValueError:
        total = 0
    if not 1 <= total <= 10_000:
        raise Unreadable(f"total: {value!r} is not 1 to 10,000")
    return total


def read_reason(value: Any, kind: Kind) -> str | None:
    """Reads why a lesson is waived, or its waiver withdrawn. Raises Unreadable."""
    if kind not in ("waived", "withdrawn"):
        return None
    if (value is None and kind == "waived") or (value is not None and not 1 <= len(str(value)) <= 500):
        raise Unreadable("reason: a waiver has one, of 1 to 500 characters")
    return None if value is None else str(value)


def read_titles(row: Row) -> tuple[str | None, str | None, str | None]:
    """Returns the titles of course, lesson and section, where the row has them."""
    course, lesson, section = (row.get(name) for name in ("course_title", "lesson_title", "section"))
    return _title(course), _title(lesson), _title(section)


def _title(value: Any) -> str | None:
    return str(value)[:500] if value is not None else None
