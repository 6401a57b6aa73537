"""Tables say what learners did by the names of their columns, in CSV and in JSON lines alike."""

import csv
import io
import json
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.imports import ADA, read_import, write_lines
from worker.errors import ProgressError
from worker.importers.tables import TableReader
from worker.importers.totals import Known

HEAD = "event,user,course,lesson,total,time,id"
COURSE = "0190a6e2-0000-7000-8000-00000000000a"
AT = "2026-03-02T10:00:00Z"
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "event": st.sampled_from(["completed", "uncompleted", "accessed"]),
            "user": st.text("abc é,;\"'", min_size=1, max_size=5).map(lambda text: f"u{text}u"),
            "course": st.sampled_from(["one", "two; too"]),
            "lesson": st.text("xyz\n,\t", min_size=1, max_size=5).map(lambda text: f"l{text}l"),
            "total": st.sampled_from(["", "50"]),
            "time": st.integers(1_000_000_000, 1_700_000_000).map(str),
        }
    ),
    max_size=8,
)


def read(path: Path, **options: Any) -> Any:
    known = options.pop("known", Known())
    return read_import(path, make_reader=lambda _: TableReader(**options), known=known)


def test_a_row_is_an_event(tmp_path: Path) -> None:
    path = write_lines(tmp_path, HEAD, f"completed,{ADA},{COURSE},intro,12,{AT},row-1", f"accessed,7,stats,,,{AT},")
    first, second = read(path).events

    assert (first[0].user_id, first[0].course_id, first[0].lesson_id) == (UUID(ADA), UUID(COURSE), "intro")
    assert (first[0].total_lessons, first[2]) == (12, "row-1")
    assert (second[0].user_id, second[0].course_id) == (uuid5(NAMESPACE_URL, "7"), uuid5(NAMESPACE_URL, "stats"))
    assert second[0].lesson_id is None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, delimiter=st.sampled_from(",;\t"), ends=st.sampled_from(["\n", "\r\n"]))
def test_csv_and_json_lines_say_the_same(tmp_path: Path, rows: list[Any], delimiter: str, ends: str) -> None:
    table = io.StringIO(newline="")
    names = ["event", "user", "course", "lesson", "total", "time"]
    writer = csv.DictWriter(table, names, delimiter=delimiter, lineterminator=ends)
    writer.writeheader()
    writer.writerows(rows)
    (tmp_path / "table").write_text("\ufeff" + table.getvalue(), newline="")
    as_csv = read(tmp_path / "table")

    assert as_csv.report.malformed == 0
    if rows:
        as_json = read(write_lines(tmp_path, *rows), as_json=True)
        assert as_csv.events == as_json.events
        assert len(as_csv.events) == len(rows)


def test_waivers_come_back_as_they_were_exported(tmp_path: Path) -> None:
    head = "event,user,course,lesson,total,time,reason"
    rows = [f"LessonWaived,{ADA},{COURSE},a,,{AT},ill", f"LessonWaiverWithdrawn,{ADA},{COURSE},a,,{AT},"]
    found = read(write_lines(tmp_path, head, *rows, f"LessonWaived,{ADA},{COURSE},b,,{AT},"))

    assert found.kinds == [("LessonWaived", "a"), ("LessonWaiverWithdrawn", "a")]
    assert (found.events[0][0].reason, found.report.malformed) == ("ill", 1)


def test_columns_have_other_names_and_further_ones_are_ignored(tmp_path: Path) -> None:
    path = write_lines(tmp_path, "Username,Channel,Content,Finished,Score", f"ada,stats,intro,{AT},7")
    columns = {"username": "user", "channel": "course", "content": "lesson", "finished": "time"}

    assert read(path, columns=columns).completed == ["intro"]


def test_a_site_makes_an_account_of_a_plain_id(tmp_path: Path) -> None:
    path = write_lines(tmp_path, HEAD, f"completed,7,stats,intro,,{AT},")

    assert read(path, site="https://lms.example").learners == {uuid5(NAMESPACE_URL, "https://lms.example 7")}


@pytest.mark.parametrize(
    "row",
    [
        f"done,ada,stats,intro,,{AT},",
        f"completed,,stats,intro,,{AT},",
        f"completed,ada,,intro,,{AT},",
        f"completed,ada,stats,,,{AT},",
        "completed,ada,stats,intro,,,",
        "completed,ada,stats,intro,,2026-03-02 10:00:00,",
        f"completed,ada,stats,intro,0,{AT},",
        f"completed,ada,stats,intro,many,{AT},",
        f"completed,ada,stats,{'x' * 256},,{AT},",
        "completed,ada",
        f'completed,"ada"x,stats,intro,,{AT},',
    ],
)
def test_a_row_that_is_no_event_is_malformed_by_its_line(tmp_path: Path, row: str) -> None:
    good = f"completed,ada,stats,intro,,{AT},"
    found = read(write_lines(tmp_path, HEAD, good, row, good))

    assert (len(found.events), found.report.malformed) == (2, 1)
    assert found.said[0].startswith("line 3: ")


@pytest.mark.parametrize("head", ["event,user,course,lesson", "user,course,time,user", '"user', "%"])
def test_a_table_without_the_columns_is_refused(tmp_path: Path, head: str) -> None:
    with pytest.raises(ProgressError, match="column"):
        read(write_lines(tmp_path, head, "1,2,3,4"))


@pytest.mark.parametrize("value", [7, "x", None, [7]])
def test_json_that_is_no_object_is_malformed(tmp_path: Path, value: Any) -> None:
    path = write_lines(tmp_path, {"user": "a", "course": "c", "lesson": "l", "time": AT}, json.dumps([value]))

    assert read(path, as_json=True).report.malformed == 1


def test_a_total_that_a_learner_is_beyond_is_not_used(tmp_path: Path) -> None:
    rows = [f"completed,ada,stats,{lesson},1,{AT}," for lesson in "abc"]
    found = read(write_lines(tmp_path, HEAD, *rows))

    assert found.totals == {None}
    assert "a learner has completed 3" in found.report.warnings[0]
