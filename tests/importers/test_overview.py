"""A table of how far learners are is read in the forms that other systems write."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from worker.errors import ProgressError
from worker.importers.identity import Identities, make_uuid
from worker.importers.overview import OverviewLine, read_overview
from worker.importers.records import Malformed, Skipped

USER, COURSE = UUID(int=7), UUID(int=9)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def read(tmp_path: Path, text: str, **columns: str) -> list[OverviewLine | Malformed | Skipped]:
    file = tmp_path / "table"
    file.write_text(text, encoding="utf-8-sig")
    return list(read_overview(str(file), columns, Identities(), None))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("user,course,lessons_completed\n{u},{c},3\n", (3, None, None, False)),
        ("user;course;progress_percentage\r\n{u};{c};62,5 %\r\n", (None, 62.5, None, False)),
        ("course\tcompleted_at\tuser\n{c}\t2026-03-01T12:00:00Z\t{u}\n", (None, None, NOON, True)),
        ("user,course,completed_at\n{u},{c},\n", (None, None, None, True)),
        ("user,course,completed_at\n{u},{c},2026-03-01\n", (None, None, NOON - timedelta(hours=12), True)),
        ('{{"user": "{u}", "course": "{c}", "lessons_completed": 3}}\n', (3, None, None, False)),
    ],
)
def test_each_form_is_read(tmp_path: Path, text: str, line: tuple[object, ...]) -> None:
    assert read(tmp_path, text.format(u=USER, c=COURSE)) == [(USER, COURSE, *line)]


def test_ids_that_are_no_uuid_and_other_names_are_read_as_in_an_import(tmp_path: Path) -> None:
    [found] = read(tmp_path, "Login,Course,Done\n7,knots,40\n", login="user", done="progress_percentage")

    assert found == (make_uuid("7"), make_uuid("knots"), None, 40, None, False)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (f",{COURSE},1,1,", "user: missing"),
        (f"{USER},{COURSE},many,1,", "lessons_completed: 'many' is no number"),
        (f"{USER},{COURSE},1,half,", "progress_percentage: 'half' is no percentage"),
        (f"{USER},{COURSE},1,1,yesterday", "time: 'yesterday' is no time"),
        (f"{USER},{COURSE},1,1,2026-02-30", "time: '2026-02-30' is no time"),
        (f"{USER},{COURSE},1,1,2026-03-01 12:00", "time: '2026-03-01 12:00' has no offset from UTC"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_harms_none_beside_it(tmp_path: Path, cells: str, reason: str) -> None:
    head = "user,course,lessons_completed,progress_percentage,completed_at"

    bad, good = read(tmp_path, f"{head}\n{cells}\n{USER},{COURSE},1,50,\n")

    assert bad == Malformed(2, reason)
    assert isinstance(good, OverviewLine)


def test_a_table_that_says_nothing_of_progress_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgressError, match="none of the columns lessons_completed, progress_percentage, completed_at"):
        read(tmp_path, f"user,course,grade\n{USER},{COURSE},A\n")
