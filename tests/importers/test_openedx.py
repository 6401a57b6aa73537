"""Open edX's three exports: the table of completions, tracking logs, and the structure of a course."""

import json
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from tests.imports import Imported, read_import, write_lines
from worker.courses.catalog_file import read_version
from worker.errors import ProgressError
from worker.importers.openedx import CHANGED, OpenEdxReader

KEY = "ExampleX+Stats+2026"
COURSE = f"course-v1:{KEY}"
HEAD = "id,created,modified,course_key,block_key,block_type,completion,user_id"


def block(kind: str, name: str) -> str:
    return f"block-v1:{KEY}+type@{kind}+block@{name}"


def row(name: str, completion: str, user: int = 4) -> str:
    return f"1,2026-03-02 10:05:01,2026-03-02 10:05:01.5,{COURSE},{block('video', name)},video,{completion},{user}"


def changed(name: str, completion: float, **more: Any) -> dict[str, Any]:
    data = {"user_id": 4, "course_id": COURSE, "block_id": block("video", name), "completion": completion}
    event = {"name": CHANGED, "event_type": CHANGED, "time": "2026-03-02T10:06:00+00:00", "context": {"user_id": 3}}
    return event | {"event": data} | more


def structure() -> dict[str, Any]:
    def entry(category: str, name: str, *children: str) -> dict[str, Any]:
        return {"category": category, "children": list(children), "metadata": {"display_name": name}}

    return {
        block("course", "course"): entry("course", "Statistics", block("chapter", "c2"), block("chapter", "c1")),
        block("chapter", "c1"): entry("chapter", "Late", block("sequential", "s")),
        block("chapter", "c2"): entry("chapter", "Early", block("video", "b")),
        block("sequential", "s"): entry("sequential", "S", block("vertical", "v")),
        block("vertical", "v"): entry(
            "vertical", "V", block("video", "a"), block("discussion", "d"), block("x", "gone")
        ),
        block("video", "a"): entry("video", "Film A"),
        block("video", "b"): entry("video", "Film B"),
        block("discussion", "d"): entry("discussion", "Talk"),
    }


@pytest.fixture
def imported(tmp_path: Path) -> Any:
    def read(*texts: Any, derive: Path | None = None, **options: Any) -> Imported:
        paths = [write_lines(tmp_path, *text, name=str(number)) for number, text in enumerate(texts)]
        return read_import(*paths, make_reader=lambda _: OpenEdxReader(**options), derive=derive)

    return read


def test_a_row_is_a_completion_only_where_all_is_done(imported: Any) -> None:
    found = imported([HEAD, row("a", "1.0"), row("b", "0.5")])

    assert [kind for kind, _ in found.kinds] == ["LessonCompleted", "LessonUncompleted"]
    assert found.events[0][1].isoformat() == "2026-03-02T10:05:01.500000+00:00"
    assert found.events[0][0].course_id == uuid5(NAMESPACE_URL, COURSE)


def test_a_tracking_log_names_the_learner_and_not_who_asked(imported: Any) -> None:
    before = "2026-03-02 10:06:00,001 INFO 20 [tracking] [user None] [ip None] logger.py:41 - "
    lines = [before + json.dumps(changed("a", 1.0)), json.dumps({"event_type": "play_video"}), before + '{"broken']
    found = imported([*lines, json.dumps(changed("b", 0.0, event=json.dumps(changed("b", 0.0)["event"])))])
    same = imported([HEAD, row("a", "1.0")])

    assert [kind for kind, _ in found.kinds] == ["LessonCompleted", "LessonUncompleted"]
    assert found.learners == same.learners
    assert found.report.skipped == {"other events": 2}


def test_the_structure_says_the_total_and_the_catalog(imported: Any, tmp_path: Path) -> None:
    out = tmp_path / "catalog.yaml"
    found = imported([json.dumps(structure())], [HEAD, row("a", "1.0"), row("b", "1.0", 5)], derive=out)
    version = read_version(out)

    assert (found.totals, found.report.courses[0].would_complete) == ({2}, 0)
    assert version.title == "Statistics"
    assert [(lesson.title, lesson.section) for lesson in version.lessons] == [("Film B", "Early"), ("Film A", "Late")]


def test_a_block_that_the_structure_does_not_have_leaves_the_course_open(imported: Any) -> None:
    found = imported([json.dumps(structure())], [HEAD, row("a", "1.0"), row("removed", "1.0")])

    assert found.totals == {None}
    assert "not in the list" in found.report.warnings[0]


@pytest.mark.parametrize("text", ["hello", "user,course,time\n1,2,3"])
def test_another_format_is_named(imported: Any, text: str) -> None:
    with pytest.raises(ProgressError, match="none of Open edX's exports"):
        imported([text])


@pytest.mark.parametrize("text", ['{"a": 1}', "[]", '{"blocks": 7}', '{"x": {"category": "course"}}'])
def test_json_that_is_no_structure_is_malformed_or_nothing(imported: Any, text: str) -> None:
    assert imported([text]).events == []
