"""Reads files as an import does, without servers, and makes statements of invented learners."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from events.publisher import OutgoingEvent
from worker.importers.identity import Identities
from worker.importers.report import ImportReport, build_report
from worker.importers.run import Reader, build_event, read_files
from worker.importers.spool import Spool, open_spool
from worker.importers.tally import Tally
from worker.importers.totals import Known
from worker.importers.xapi import XapiReader

ADL = "http://adlnet.gov/expapi/verbs/"
TYPE = "http://adlnet.gov/expapi/activities/"
SITE = "https://lms.example"
COURSE = f"{SITE}/course/1"
ADA = "0190a6e2-0000-7000-8000-0000000000ad"
NOTHING = Known()


def activity(id: str, kind: str = "", name: str = "") -> dict[str, Any]:
    """Makes an activity; `kind` is the last part of its type, or the whole type."""
    definition = {"type": kind if "://" in kind else TYPE + kind} if kind else {}
    return {"id": id, "definition": definition | ({"name": {"en-US": name}} if name else {})}


def statement(
    lesson: str = "1",
    verb: str = "completed",
    *,
    learner: str = "ada",
    minute: int = 0,
    parent: Any = None,
    grouping: Any = None,
    **more: Any,
) -> dict[str, Any]:
    """Makes a statement about a lesson of COURSE; a `minute` later each, and `more` of its members."""
    activities = {"parent": [activity(COURSE, "course")] if parent is None else parent, "grouping": grouping}
    return {
        "id": str(uuid5(NAMESPACE_URL, f"{learner} {lesson} {verb} {minute} {more}")),
        "actor": {"account": {"homePage": SITE, "name": learner}},
        "verb": {"id": verb if "://" in verb else ADL + verb},
        "object": {"id": f"{SITE}/lesson/{lesson}"},
        "context": {"contextActivities": {name: value for name, value in activities.items() if value}},
        "timestamp": f"2026-03-02T10:{minute:02}:00Z",
    } | more


@dataclass(frozen=True)
class Imported:
    """Holds what an import would publish, and what it says."""

    events: list[OutgoingEvent]
    report: ImportReport
    said: list[str]
    catalog: str

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Returns the types and lessons of the events."""
        return [(type(event[0]).__name__, event[0].lesson_id.rpartition("/")[2]) for event in self.events]

    @property
    def completed(self) -> list[str]:
        return sorted(lesson for kind, lesson in self.kinds if kind == "LessonCompleted")

    @property
    def learners(self) -> set[UUID]:
        return {event[0].user_id for event in self.events}

    @property
    def courses(self) -> list[str]:
        return sorted(course.id for course in self.report.courses)

    @property
    def totals(self) -> set[int | None]:
        return {getattr(event[0], "total_lessons", None) for event in self.events}


def write_lines(directory: Path, *statements: Any, name: str = "statements") -> Path:
    """Writes values, one per line; a text stays as it is."""
    path = directory / name
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in statements))
    return path


def read_import(
    *paths: Path | str,
    make_reader: Callable[[Spool], Reader] = XapiReader,
    known: Known = NOTHING,
    users: dict[tuple[str | None, str], UUID] | None = None,
    derive: Path | None = None,
) -> Imported:
    """Reads files, and returns what would be published."""
    from worker.importers.derive import write_catalog

    said: list[str] = []
    tally = Tally(said.append)
    with open_spool() as spool:
        reader = make_reader(spool)
        read_files([str(path) for path in paths], reader, Identities(users), spool, tally)
        report, totals = build_report(spool, known, tally, reader.warnings)
        events = [build_event(record, totals[record.course]) for record in spool.records()]
        if derive:
            write_catalog(spool, derive, known.published)
        return Imported(events, report, said, derive.read_text() if derive else "")
