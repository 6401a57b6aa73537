"""The page for authors says what a version would change, where its text is wrong, and what becomes of lessons."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from events.catalog import CatalogLesson, CoursePublished
from worker.courses.catalog_file import BadCatalogFile, parse_version
from worker.courses.publishing import CourseState
from worker.web.pages.publishing import describe_version, find_changes, find_warnings, write_draft

COURSE = UUID("0190a6e2-0000-7000-8000-00000000000a")
NOW = datetime(2026, 11, 25, tzinfo=UTC)


def version(number: int, *lessons: CatalogLesson, policy: str = "grandfather") -> CoursePublished:
    return CoursePublished(course_id=COURSE, version=number, title="Statistics", policy=policy, lessons=lessons)


def stored(content: CoursePublished | None, deleted_at: datetime | None = None) -> CourseState:
    return CourseState(NOW, content.version if content else 0, NOW, content, deleted_at, None)


INTRO = CatalogLesson(lesson_id="intro", title="Introduction")
QUIZ = CatalogLesson(lesson_id="quiz", title="Quiz")
QUIZ_2 = CatalogLesson(lesson_id="quiz-2", title="Second quiz", replaces=("quiz",))
EXTRA = CatalogLesson(lesson_id="extra", required=False)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((INTRO,), (INTRO,), []),
        ((INTRO,), (INTRO, QUIZ, EXTRA), [("added", "quiz", "required"), ("added", "extra", "optional")]),
        ((INTRO, QUIZ), (INTRO, QUIZ_2), [("replaced", "quiz", "by Second quiz: completions count")]),
        ((INTRO, QUIZ), (INTRO,), [("removed", "quiz", "completions count no longer")]),
        ((INTRO,), (INTRO, QUIZ_2), [("added", "quiz-2", "required")]),
    ],
    ids=["same", "added", "replaced", "removed", "replaces what was not there"],
)
def test_lessons_are_added_replaced_or_removed(
    before: tuple[CatalogLesson, ...], after: tuple[CatalogLesson, ...], expected: list[tuple[str, str, str]]
) -> None:
    found = find_changes(version(2, *after), version(1, *before))

    assert [(change.what, change.lesson_id, change.note) for change in found] == expected


@pytest.mark.parametrize(
    ("tried", "known", "said"),
    [
        (version(1, INTRO), stored(None), ["first version"]),
        (version(2, INTRO), stored(version(1, INTRO)), []),
        (version(1, INTRO), stored(version(1, INTRO)), ["published already"]),
        (version(1, INTRO), stored(version(3, INTRO)), ["Is 4 meant?"]),
        (version(4, INTRO), stored(version(2, INTRO)), ["is 3 meant?"]),
        (version(2, INTRO, policy="reopen"), stored(version(1, INTRO)), ["reopen"]),
        (version(2, INTRO), stored(version(1, INTRO), NOW), ["brings it back"]),
    ],
)
def test_what_an_author_should_think_of_is_said(tried: CoursePublished, known: CourseState, said: list[str]) -> None:
    warnings = list(find_warnings(tried, known))

    assert len(warnings) == len(said)
    assert all(part in warning for part, warning in zip(said, warnings, strict=True))


def test_a_draft_is_the_newest_version_with_the_next_number_and_a_lesson_in_each_line() -> None:
    newest = version(3, INTRO, QUIZ_2, EXTRA, policy="reopen")

    draft = write_draft(COURSE, stored(newest))

    assert parse_version(draft) == newest.model_copy(update={"version": 4})
    assert sum("lesson_id" in line for line in draft.splitlines()) == 3
    assert write_draft(COURSE, stored(None)) == ""


def test_what_is_read_is_what_the_calls_of_the_api_take() -> None:
    read = describe_version(version(2, INTRO, QUIZ_2), stored(version(1, INTRO, QUIZ)))

    content = json.loads(read.model_dump_json(by_alias=True))["content"]
    assert [lesson["lessonId"] for lesson in content["lessons"]] == ["intro", "quiz-2"]
    assert (read.newest, read.required, read.needed, read.lessons) == (1, 2, 2, 2)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (f"course_id: {COURSE}\nversion: 0\nlessons: [{{lesson_id: a}}]", 2, "version"),
        (f"course_id: {COURSE}\nversion: 1\nlessons:\n  - lesson_id: a\n  - lesson_id: 7\n", 5, "lessons.1.lesson_id"),
        (f"course_id: {COURSE}\nversion: 1\nlessons:\n  - lesson_id: a\n    requried: no\n", 5, "requried"),
        (
            f'{{"course_id": "{COURSE}",\n"version": 1,\n"lessons": [\n{{"lesson_id": "a"}},\n{{"titel": "x"}}]}}',
            5,
            "titel",
        ),
        ("course_id: x\nversion: [1\n", 3, "neither JSON nor YAML"),
        ("a: &a [x]\nb: *a\n", 2, "alias"),
        ("- 1", 1, "not an object"),
        ("", None, "not an object"),
    ],
)
def test_a_mistake_has_its_line(text: str, line: int | None, said: str) -> None:
    with pytest.raises(BadCatalogFile) as found:
        parse_version(text)

    [first, *_] = found.value.mistakes
    assert first.line == line
    assert said in first.text
