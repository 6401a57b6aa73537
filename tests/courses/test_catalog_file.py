"""A version of a course is read from JSON and YAML, and what is neither harms nothing."""

from pathlib import Path

import pytest

from worker.courses.catalog_file import BadCatalogFile, read_version, read_versions

COURSE = "0190a6e2-0000-7000-8000-00000000000a"


@pytest.mark.parametrize(
    "text",
    [
        f'{{"course_id": "{COURSE}", "version": 1, "title": "2026-11-30", "lessons": [{{"lesson_id": "1.0"}}]}}',
        f"course_id: {COURSE}\nversion: 1\ntitle: 2026-11-30\nlessons:\n  - lesson_id: '1.0'\n",
    ],
    ids=["JSON", "YAML"],
)
def test_json_and_yaml_say_the_same(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)

    found = read_version(tmp_path / "file")

    assert (str(found.course_id), found.version, found.title, found.required) == (COURSE, 1, "2026-11-30", ["1.0"])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not an object"),
        (b"- 1", "not an object"),
        (b"{", "neither JSON nor YAML"),
        (b"\xff", "cannot be read"),
        (b"[" * 100_000, "neither JSON nor YAML"),
        (b"a: &a [x]\nb: *a\n", "alias"),
        (b"!!python/object:os.system x", "neither JSON nor YAML"),
        (b"x" * 4_000_000, "more than"),
        (b"version: 1", "course_id: Field required; lessons: Field required"),
        (b"version: 1\npolcy: reopen\nrequires_course: []", "unknown, so probably a slip: polcy, requires_course"),
        (b"lessons: [{lesson_id: a, requried: false}]\nrule: {at_lest: 1}", "rule: at_lest, lessons: requried"),
    ],
)
def test_what_is_not_a_version_is_explained(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(BadCatalogFile, match=why):
        read_version(tmp_path / "file")


def test_a_file_may_describe_several_courses(tmp_path: Path) -> None:
    path = tmp_path / "file"
    one = "course_id: 0190a6e2-0000-7000-8000-00000000000{}\nversion: 1\nlessons: [{{lesson_id: a}}]\n"
    path.write_text("---\n".join([one.format(1), one.format(2)]))

    assert [version.course_id.int % 16 for version in read_versions(path)] == [1, 2]
    with pytest.raises(BadCatalogFile, match="2 courses"):
        read_version(path)
