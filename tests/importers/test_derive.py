"""The catalog file that an import writes is one that `catalog` takes."""

from pathlib import Path

import pytest

from tests.imports import COURSE, SITE, activity, read_import, statement, write_lines
from worker.courses.catalog_file import read_versions
from worker.errors import ProgressError


def test_each_course_is_a_version_with_the_lessons_in_the_order_of_their_use(tmp_path: Path) -> None:
    film = activity(f"{SITE}/lesson/film", name='Film: "one" # 1\n')
    other = [activity("urn:other", "course", "Other\u2028course")]
    said = [statement("b", minute=1), statement("a", minute=2), statement(object=film, verb="launched", minute=3)]
    out = tmp_path / "courses.yaml"
    found = read_import(write_lines(tmp_path, *said, statement("x", parent=other)), derive=out)
    first, second = sorted(read_versions(out), key=lambda version: len(version.lessons), reverse=True)

    assert [lesson.lesson_id.rpartition("/")[2] for lesson in first.lessons] == ["b", "a", "film"]
    assert (first.lessons[2].title, second.title) == ('Film: "one" # 1', "Other\u2028course")
    assert {first.course_id, second.course_id} == {course.course_id for course in found.report.courses}
    assert found.catalog.count("# Nobody has completed this one") == 1


def test_a_derived_catalog_gives_the_total(tmp_path: Path) -> None:
    path = write_lines(tmp_path, statement("a"), statement("b", learner="ben"))
    read_import(path, derive=tmp_path / "out.yaml")
    [version] = read_versions(tmp_path / "out.yaml")

    assert (version.needed, version.version) == (2, 1)
    assert COURSE in (tmp_path / "out.yaml").read_text()


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out.yaml"
    out.write_text("mine")
    with pytest.raises(ProgressError, match="there already"):
        read_import(write_lines(tmp_path, statement()), derive=out)

    assert out.read_text() == "mine"
