"""Reads Open edX: `completion_blockcompletion` as CSV, tracking logs, and the structure of courses as JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from worker.errors import ProgressError
from worker.importers.formats import TRACKING, name_lines
from worker.importers.identity import Learner
from worker.importers.json_stream import Broken, JsonStream
from worker.importers.openedx_structure import list_lessons
from worker.importers.opening import Part
from worker.importers.records import (
    Kind,
    Malformed,
    Outcome,
    Record,
    Skipped,
    Unreadable,
    make_id,
    read_lesson,
    read_time,
)
from worker.importers.tables import Row, need, read_each, read_rows

ALIASES = {"block_id": "block_key", "course_id": "course_key"}
NEEDED = ("course_key", "block_key", "completion", "modified", "user_id")
CHANGED = "edx.completion.block_completion.changed"
LONGEST_LINE = 4 << 20  # characters


@dataclass
class OpenEdxReader:
    """Reads texts of any of the three kinds. `site` is the address of the platform that gave the users' ids."""

    columns: Mapping[str, str] = field(default_factory=dict)
    site: str | None = None
    warnings: list[str] = field(default_factory=list)

    def read(self, part: Part, file: int) -> Iterator[Outcome]:
        """Yields what a text says. Raises ProgressError for a text of no known kind."""
        start = part.head.lstrip("\ufeff \t\r\n")
        if "block_key" in start.partition("\n")[0]:
            yield from read_each(read_rows(part, {**ALIASES, **self.columns}, NEEDED), self.read_row)
        elif (start.startswith(("{", "[")) and "xAPI" not in name_lines(part.head)) or TRACKING.search(part.head):
            yield from self._read_json(part)
        else:
            raise ProgressError(f"{part.name} is none of Open edX's exports; this is {name_lines(part.head)}")

    def _read_json(self, part: Part) -> Iterator[Outcome]:
        start = part.head.lstrip("\ufeff \t\r\n")
        if start.startswith("{") and '"event_type"' not in start and '"name"' not in start.partition("\n")[0]:
            yield from self._read_structure(part)
            return
        for line in count(1):
            text = part.text.readline(LONGEST_LINE)
            if not text:
                return
            if CHANGED in text:
                yield self.read_event(text, line)
            elif not text.isspace():
                yield Skipped("other events" if "{" in text else "lines that are no events")

    def _read_structure(self, part: Part) -> Iterator[Outcome]:
        for each in JsonStream(part.text):
            if isinstance(each, Broken):
                yield Malformed(each.line, each.reason)
                continue
            line, value = each
            if isinstance(value, dict) and ("event" in value or "verb" in value):
                yield self._read_changed(value, line) if value.get("event_type") == CHANGED else Skipped("other events")
                continue
            if not (found := list_lessons(value)):
                yield Malformed(line, "no structure of a course: no block in it has a category")
            yield from found

    def read_event(self, text: str, line: int) -> Outcome:
        """Reads a line of a tracking log, with whatever the logger wrote before the event."""
        for each in JsonStream(_Text(text[text.index("{") :])):
            if not isinstance(each, Broken):
                return self._read_changed(each[1], line)
            return Malformed(line, each.reason)
        return Malformed(line, "no JSON")

    def _read_changed(self, event: Any, line: int) -> Outcome:
        data = event.get("event") if isinstance(event, dict) else None
        if isinstance(data, str):  # as some versions log it: JSON in a text
            data = next((each[1] for each in JsonStream(_Text(data)) if not isinstance(each, Broken)), None)
        if not isinstance(data, dict) or (event.get("name") or event.get("event_type")) != CHANGED:
            return Skipped("other events")
        # Not context.user_id, which is who made the request.
        row = {
            "course_key": data.get("course_id"),
            "block_key": data.get("block_id"),
            "completion": data.get("completion"),
            "modified": event.get("time"),
            "user_id": data.get("user_id"),
        }
        try:
            return self.read_row(row, line)
        except Unreadable as error:
            return Malformed(line, str(error))

    def read_row(self, row: Row, line: int) -> Record:
        """Reads one row, whose times without an offset are UTC. Raises Unreadable."""
        course, block, user = need(row, "course_key"), read_lesson(need(row, "block_key")), need(row, "user_id")
        kind = read_completion(need(row, "completion"))
        at = read_time(row.get("modified"), naive_is_utc=True)
        learner = Learner(user, self.site) if self.site else Learner(f"openedx user {user}", keys=(user,))
        return Record(kind, learner, course, block, at, make_id("openedx", self.site, user, block, kind, at), line)


class _Text:
    """Gives a text that is in memory to a JsonStream."""

    def __init__(self, text: str) -> None:
        self._left = text

    def read(self, _: int) -> str:
        found, self._left = self._left, ""
        return found


def read_completion(text: str) -> Kind:
    """Reads how much of a block is done: all of it, or not. Raises Unreadable."""
    try:
        return "completed" if float(text) >= 1 else "uncompleted"
    except ValueError:
        raise Unreadable(f"completion: {text!r} is no number") from None
