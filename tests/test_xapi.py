import gzip
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest

from events import CourseAccessed, LessonCompleted
from worker.errors import ProgressError
from worker.xapi import (
    ACCESSED,
    VERBS_COUNTED,
    VERBS_SHOWN,
    ImportCounts,
    ImportedEvent,
    MalformedLine,
    SkippedStatement,
    Statement,
    build_event,
    count_lessons,
    read_events,
    read_statement,
)

COURSE = "course-v1:Example+1"
COURSE_ID = uuid5(NAMESPACE_URL, COURSE)
LEARNER = "f6c5ca7f-9daa-4830-a6a7-887af156e9ce"


def statement(**changes: Any) -> dict[str, Any]:
    return {
        "id": "9dc99b37-e920-4a68-a066-917faca28949",
        "actor": {"account": {"name": LEARNER, "homePage": "http://lms.example"}},
        "verb": {"id": "https://w3id.org/xapi/video/verbs/played"},
        "object": {"id": "uuid://lesson-1"},
        "context": {"contextActivities": {"parent": [{"id": COURSE}]}},
        "timestamp": "2021-11-29T23:09:00.867219+01:00",
    } | changes


def outcome_of(said: dict[str, Any], lessons: int = 5) -> ImportedEvent | SkippedStatement | MalformedLine:
    outcome = read_statement(json.dumps(said).encode())
    return build_event(outcome, {COURSE_ID: lessons}) if isinstance(outcome, Statement) else outcome


def spoken(name: str) -> dict[str, Any]:
    return statement(verb={"id": f"http://adlnet.gov/expapi/verbs/{name}"})


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: dict[str, Any] | str, zipped: bool = False) -> Path:
        text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines).encode()
        path = tmp_path / "statements"
        path.write_bytes(gzip.compress(text) if zipped else text)
        return path

    return write


def read(path: Path, totals: dict[UUID, int] | None = None) -> tuple[list[ImportedEvent], ImportCounts, list[str]]:
    count, said = ImportCounts(), list[str]()
    events = list(read_events(path, count_lessons(path) if totals is None else totals, count, said.append))
    return events, count, said


def test_a_completed_lesson_keeps_the_statements_id_time_and_learner() -> None:
    imported = outcome_of(spoken("completed"))

    assert imported == ImportedEvent(
        LessonCompleted(user_id=LEARNER, course_id=COURSE_ID, lesson_id="uuid://lesson-1", total_lessons=5),
        datetime(2021, 11, 29, 22, 9, 0, 867219, tzinfo=UTC),
        "9dc99b37-e920-4a68-a066-917faca28949",
    )


@pytest.mark.parametrize("verb", sorted(ACCESSED))
def test_using_a_lesson_is_an_access(verb: str) -> None:
    imported = outcome_of(spoken(verb))

    assert isinstance(imported, ImportedEvent)
    assert imported.event == CourseAccessed(user_id=LEARNER, course_id=COURSE_ID, lesson_id="uuid://lesson-1")


def test_another_verb_is_skipped_by_its_name_whatever_else_is_missing() -> None:
    assert outcome_of({"verb": {"id": "http://id.tincanapi.com/verb/downloaded"}}) == SkippedStatement("downloaded")


def test_a_name_that_is_no_uuid_becomes_one() -> None:
    imported = outcome_of(statement(actor={"account": {"name": "ada"}}))

    assert isinstance(imported, ImportedEvent)
    assert imported.event.user_id == uuid5(NAMESPACE_URL, "ada")


def test_a_parent_may_stand_alone() -> None:
    assert isinstance(outcome_of(statement(context={"contextActivities": {"parent": {"id": COURSE}}})), ImportedEvent)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"actor": {"mbox": "mailto:ada@example"}},
        {"verb": None},
        {"object": {"id": ""}},
        {"object": {"id": "x" * 256}},
        {"object": {"id": "a\x00b"}},
        {"context": {"contextActivities": {"parent": []}}},
        {"context": {}},
        {"timestamp": "yesterday"},
        {"timestamp": "2021-11-29T23:09:00"},
    ],
    ids=str,
)
def test_what_no_event_can_be_made_of_is_malformed(changes: dict[str, Any]) -> None:
    assert isinstance(outcome_of(statement(**changes)), MalformedLine)


def test_a_course_with_more_lessons_than_an_event_can_carry_is_malformed() -> None:
    assert isinstance(outcome_of(spoken("completed"), lessons=10_001), MalformedLine)


@pytest.mark.parametrize("zipped", [False, True])
def test_the_total_is_the_number_of_different_lessons_in_the_file(file_of: Callable[..., Path], zipped: bool) -> None:
    lessons = [statement(object={"id": lesson}) for lesson in ("a", "b", "a")]
    elsewhere = statement(object={"id": "z"}, context={"contextActivities": {"parent": [{"id": "another"}]}})
    path = file_of(*lessons, elsewhere, spoken("completed"), zipped=zipped)
    events, _, _ = read(path)

    assert len(events) == 5
    assert events[-1].event == LessonCompleted(
        user_id=LEARNER, course_id=COURSE_ID, lesson_id="uuid://lesson-1", total_lessons=3
    )


def test_every_line_is_counted_and_a_malformed_one_reported_by_its_number(file_of: Callable[..., Path]) -> None:
    path = file_of(statement(), "", "not json", spoken("liked"), spoken("liked"), statement(id=""))
    events, count, said = read(path)

    assert (len(events), count.skipped, count.malformed) == (1, {"liked": 2}, 2)
    assert [line.split(":")[0] for line in said] == ["line 3", "line 6"]


def test_many_malformed_lines_do_not_flood_the_terminal(file_of: Callable[..., Path]) -> None:
    _, count, said = read(file_of(*["{"] * 1000))

    assert count.malformed == 1000
    assert len(said) < 50


@pytest.mark.parametrize("content", [b"\x1f\x8bno gzip", gzip.compress(b"{}\n" * 99)[:-9]], ids=["broken", "cut off"])
def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "statements.gz"
    path.write_bytes(content)

    for unreadable in (path, tmp_path, tmp_path / "missing"):
        with pytest.raises(ProgressError, match=r"cannot be read"):
            count_lessons(unreadable)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_line_without_end_is_one_error_that_names_it_and_is_never_held(
    file_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    """A gzip of 20 KB can be one line of 20 MB."""
    monkeypatch.setattr("worker.xapi.LONGEST_LINE", 10_000)
    path = file_of(statement(), " " * 20_000_000, statement(), zipped=zipped)
    tracemalloc.start()
    try:
        with pytest.raises(ProgressError, match=r"line 2 has more than 10,000 bytes"):
            count_lessons(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 5_000_000


def test_a_line_of_the_longest_length_is_read(file_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps(statement())
    monkeypatch.setattr("worker.xapi.LONGEST_LINE", len(line) + 1)
    events, _, _ = read(file_of(line, line))

    assert len(events) == 2


def test_of_many_verbs_the_most_common_are_shown_and_all_are_counted() -> None:
    count = ImportCounts()
    for number in range(VERBS_COUNTED + 500):
        for _ in range(2 if number == 7 else 1):
            count.skip(f"{number:05}" + "v" * 100_000)

    text = count.format()

    assert text.count("v…") == VERBS_SHOWN
    assert "00007" in text
    assert f"and {VERBS_COUNTED + 500 - VERBS_SHOWN:,} with other verbs" in text
    assert len(text) < 2000
    assert sum(map(len, count.skipped)) < 200_000


def test_few_verbs_are_shown_without_others() -> None:
    count = ImportCounts(published=3, malformed=1)
    for verb in ("liked", "shared", "liked"):
        count.skip(verb)

    assert count.format() == "published 3; skipped: liked 2, shared 1; malformed lines: 1"
    assert ImportCounts().format() == "published 0; skipped: none; malformed lines: 0"
