"""Moodle's table of completions says what Moodle shows."""

from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest

from tests.imports import ADA, Imported, read_import, write_lines
from worker.courses.catalog_file import read_version
from worker.importers.moodle import MoodleReader

HEAD = "id,userid,useridnumber,courseid,coursemoduleid,completionstate,timemodified,tracked_modules"
SITE = "https://moodle.example"


@pytest.fixture
def imported(tmp_path: Path) -> Any:
    def read(*rows: str, head: str = HEAD, **options: Any) -> Imported:
        return read_import(write_lines(tmp_path, head, *rows), make_reader=lambda _: MoodleReader(**options))

    return read


@pytest.mark.parametrize(
    ("state", "failed_counts", "kind"),
    [
        ("1", False, "LessonCompleted"),
        ("2", False, "LessonCompleted"),
        ("0", False, "LessonUncompleted"),
        ("3", False, "LessonUncompleted"),
        ("3", True, "LessonCompleted"),
    ],
)
def test_a_state_is_a_completion_or_takes_one_back(imported: Any, state: str, failed_counts: bool, kind: str) -> None:
    found = imported(f"1,7,{ADA},2,11,{state},1772445600,4", failed_counts=failed_counts)

    assert (found.kinds, found.learners, found.totals) == ([(kind, "11")], {UUID(ADA)}, {4})


def test_a_site_gives_the_ids_that_moodles_statements_have(imported: Any) -> None:
    [event] = [event for event, *_ in imported("1,7,,2,11,1,1772445600,4", site=SITE).events]

    assert event.user_id == uuid5(NAMESPACE_URL, f"{SITE} 7")
    assert event.course_id == uuid5(NAMESPACE_URL, f"{SITE}/course/view.php?id=2")


def test_a_file_names_the_website_s_learners_by_either_number(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path, HEAD, "1,7,S-7,2,11,1,1772445600,4", "2,8,,2,11,1,1772445600,4", "3,9,,2,11,1,1772445600,4"
    )
    users = {(None, "S-7"): UUID(int=7), (None, "8"): UUID(int=8)}
    found = read_import(path, make_reader=lambda _: MoodleReader(), users=users)

    assert found.learners == {UUID(int=7), UUID(int=8)}
    assert found.report.skipped == {"learner not in --users": 1}


def test_titles_and_other_names_of_columns_are_read(imported: Any) -> None:
    head = "user\tcourse\tcmid\tcompletionstate\ttimemodified\tfullname\tmodule_name"
    found = imported("7\t2\t11\t1\t1772445600\tStatistics\tMean", head=head)

    assert found.report.courses[0].title == "Statistics"


def test_a_module_that_nobody_touched_is_in_the_catalog(tmp_path: Path) -> None:
    path = write_lines(tmp_path, HEAD, "1,7,,2,11,1,1772445600,2", "NULL,NULL,NULL,2,12,NULL,NULL,2")
    found = read_import(path, make_reader=lambda _: MoodleReader(), derive=tmp_path / "out.yaml")

    assert {lesson.lesson_id for lesson in read_version(tmp_path / "out.yaml").lessons} == {"11", "12"}
    assert (found.totals, len(found.events)) == ({2}, 1)


def test_what_was_never_touched_is_skipped_and_what_is_wrong_is_malformed(imported: Any) -> None:
    found = imported("1,7,,2,11,0,0,4", "2,7,,2,11,1,0,4", "3,7,,2,11,5,1772445600,4", "4,7,,2,,1,1772445600,4")

    assert found.report.skipped == {"never touched": 1}
    assert found.report.malformed == 3
