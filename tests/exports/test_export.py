"""What is exported gives the same rows again, in each format, and says what it is in a table that others read."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.models import (
    CourseAccessed,
    LessonCompleted,
    LessonEvent,
    LessonUncompleted,
    LessonWaived,
    LessonWaiverWithdrawn,
    ProgressReset,
)
from tests.databases import Database
from tests.deliveries import Delivery, deliveries, real_sql
from tests.factories import COURSE, OTHER_USER, USER, at, completed
from tests.imports import read_import
from worker.exports.export import Format, What, Writer, open_snapshot, write_rows
from worker.exports.statements import VERBS
from worker.importers.run import Reader
from worker.importers.spool import Spool
from worker.importers.tables import TableReader
from worker.importers.totals import Known
from worker.importers.xapi import XapiReader
from worker.progress.store import Store
from worker.settings import Settings

TOTAL = 3  # of each event: what a total was before decides dates, and is not kept; imports take none below the lessons
KINDS = (LessonCompleted, LessonCompleted, LessonUncompleted, CourseAccessed, ProgressReset)
SITE = "https://lms.example"


@pytest.fixture
async def database(database_settings: Settings, connection: asyncpg.Connection) -> AsyncIterator[Database]:
    store = Store(database_settings)
    database = Database(store, connection)
    await database.empty()
    yield database
    await store.close()


async def write(settings: Settings, what: What, format: Format, **only: UUID) -> str:
    out = io.StringIO()
    writer = Writer(out, what, format, SITE)
    async with open_snapshot(settings) as snapshot:
        lines = [written async for written in write_rows(snapshot, writer, **only)]
    text = out.getvalue()
    assert sum(lines) == (len(list(csv.DictReader(io.StringIO(text)))) if format == "csv" else text.count("\n"))
    return text


def read_table(text: str, format: Format) -> list[dict[str, Any]]:
    if format == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return [{name: cell or None for name, cell in row.items()} for row in csv.DictReader(io.StringIO(text, newline=""))]


async def read_everything(connection: asyncpg.Connection) -> list[Any]:
    statements = (
        """
        select user_id, course_id, lessons_completed, total_lessons, progress_percentage, started_at, last_accessed_at,
               completed_at, utc_offset
        from course_progress order by 1, 2
        """,
        """
        select user_id, course_id, lesson_id, completed, l.completed_at, l.changed_at, l.uncompleted_at
        from lesson_progress l join course_progress using (user_id, course_id) order by 1, 2, 3
        """,
        "select user_id, course_id, lesson_id, waived_at, withdrawn_at from lesson_waiver order by 1, 2, 3",
    )
    return [[tuple(row) for row in await connection.fetch(statement)] for statement in statements]


def in_order(delivery: Delivery) -> list[tuple[LessonEvent, datetime]]:
    """Returns the events in the order of their times, with one total: what comes late leaves a later date (rule 4)."""
    with_total = [
        (e.model_copy(update={"total_lessons": TOTAL}) if hasattr(e, "total_lessons") else e, t)
        for e, t in delivery.happened
    ]
    return sorted(with_total, key=lambda each: each[1])


@hypothesis_settings(real_sql, max_examples=60)
@given(delivery=deliveries(*KINDS), format=st.sampled_from(["csv", "jsonl", "xapi"]))
async def test_lessons_that_are_exported_and_imported_give_the_same_rows_again(
    database: Database, database_settings: Settings, delivery: Delivery, format: Format
) -> None:
    """xAPI leaves out when a course was opened: an import takes no statement about the course itself."""
    await database.empty()
    for event in in_order(delivery):
        await database.apply([event])
    before = await read_everything(database.connection)

    exported = import_again(await write(database_settings, "lessons", format), format)
    await database.empty()
    await database.apply(exported)

    after = await read_everything(database.connection)
    assert after == before if format != "xapi" else keep_completions(after) == keep_completions(before)


def import_again(text: str, format: Format) -> list[tuple[LessonEvent, datetime]]:
    """Reads what was exported as `course-progress import` does; of xAPI, which has no totals, with the total."""
    readers: dict[Format, Callable[[Spool], Reader]] = {
        "csv": lambda _: TableReader({}),
        "jsonl": lambda _: TableReader({}, as_json=True),
        "xapi": XapiReader,
    }
    if not text:
        return []  # nothing is left of what was reset, and no import takes an empty file
    known = Known(every=TOTAL) if format == "xapi" else Known()
    with TemporaryDirectory() as directory:
        file = Path(directory) / "exported"
        file.write_text(text, newline="")
        found = read_import(file, make_reader=readers[format], known=known)
    assert (found.said, found.report.malformed) == ([], 0)
    return [(event, at) for event, at, *_ in found.events]


def keep_completions(rows: list[Any]) -> list[Any]:
    """Leaves out when progress began and when the course was opened last, and courses without a lesson."""
    progress, lessons, waivers = rows
    with_lessons = {(row[0], row[1]) for row in lessons}
    return [[(*row[:5], row[7]) for row in progress if (row[0], row[1]) in with_lessons], lessons, waivers]


async def test_waivers_are_exported_as_the_events_that_they_were(
    database: Database, database_settings: Settings
) -> None:
    ids = {"user_id": USER, "course_id": COURSE}
    happened = [
        (LessonWaived(**ids, lesson_id="b", reason="ill"), at(1)),
        (LessonWaiverWithdrawn(**ids, lesson_id="b"), at(2)),
        (LessonWaived(**ids, lesson_id="c", reason="known"), at(3)),
        completed("a", 4, 3),
    ]
    await database.apply(happened)

    facts = read_table(await write(database_settings, "lessons", "jsonl"), "jsonl")
    stated = [json.loads(line) for line in (await write(database_settings, "lessons", "xapi")).splitlines()]

    assert [(fact["event"], fact["lesson"], fact["reason"]) for fact in facts if fact["lesson"]] == [
        ("LessonWaived", "b", "ill"),
        ("LessonWaiverWithdrawn", "b", None),
        ("LessonWaived", "c", "known"),
        ("LessonCompleted", "a", None),
    ]
    waived = [unquote(each["object"]["id"]) for each in stated if each["verb"]["id"] == VERBS["waived"]]
    assert waived == [f"urn:uuid:{COURSE}#c"]  # neither a withdrawn one nor its withdrawal


@pytest.mark.parametrize("lesson", ["a", "=1+1", 'say "hi", please', "two\nlines", "ä#?/ %20", "x" * 255])
async def test_any_lesson_id_is_written_so_that_it_is_read_again(
    database: Database, database_settings: Settings, lesson: str
) -> None:
    await database.apply([completed(lesson, 1)])

    for format in ("csv", "jsonl"):
        [row] = read_table(await write(database_settings, "lessons", format), format)
        assert (row["lesson"], row["user"], row["time"]) == (lesson, str(USER), at(1).isoformat()[:-6] + "Z")
    [statement] = [json.loads(line) for line in (await write(database_settings, "lessons", "xapi")).splitlines()]
    assert unquote(statement["object"]["id"].partition("#")[2]) == lesson
    assert statement["context"]["contextActivities"]["parent"][0]["id"] == f"urn:uuid:{COURSE}"


async def test_progress_is_a_line_for_each_row_that_learners_see(
    database: Database, database_settings: Settings
) -> None:
    other = {"user_id": OTHER_USER, "course_id": COURSE}
    opened = CourseAccessed(**other), at(2)
    await database.apply([completed("a", 1, 1), opened, (ProgressReset(**other), at(3))])  # shows nobody the other

    [row] = read_table(await write(database_settings, "progress", "csv"), "csv")
    [stated] = [json.loads(line) for line in (await write(database_settings, "progress", "xapi")).splitlines()]

    assert row == {
        "user": str(USER),
        "course": str(COURSE),
        "lessons_completed": "1",
        "total_lessons": "1",
        "progress_percentage": "100",
        "completion_number": "1",
        "course_version": "0",
        "lessons_waived": "0",
    } | dict.fromkeys(("started_at", "last_accessed_at", "completed_at"), at(1).astimezone(UTC).isoformat()[:-6] + "Z")
    assert (stated["verb"]["id"], stated["result"]["completion"]) == (VERBS["satisfied"], True)


async def test_an_export_is_of_one_learner_or_one_course(database: Database, database_settings: Settings) -> None:
    other = LessonCompleted(user_id=OTHER_USER, course_id=COURSE, lesson_id="b", total_lessons=2)
    await database.apply([completed("a", 1), (other, at(2))])

    cases: list[tuple[dict[str, UUID], set[str]]] = [
        ({"user_id": USER}, {"a"}),
        ({"course_id": COURSE}, {"a", "b"}),
        ({"course_id": USER}, set()),
    ]
    for only, expected in cases:
        rows = read_table(await write(database_settings, "lessons", "jsonl", **only), "jsonl")
        assert {row["lesson"] for row in rows if row["lesson"]} == expected


async def test_a_statement_has_the_same_id_each_time(database: Database, database_settings: Settings) -> None:
    await database.apply([completed("a", 1), completed("b", 2)])

    first, second = [await write(database_settings, "lessons", "xapi") for _ in range(2)]

    assert first == second
    assert len({json.loads(line)["id"] for line in first.splitlines()}) == len(first.splitlines()) == 2
