"""Explanations say in data and sentences why a learner's progress is what it is."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tests.explanations import recompute
from tests.factories import COURSE, USER, at
from worker.courses.explain import explain
from worker.courses.explain_facts import (
    Facts,
    LessonContent,
    LessonFact,
    RecountFact,
    Row,
    TransitionFact,
    Version,
    VersionLesson,
    WaiverFact,
)
from worker.courses.explain_lessons import compute_numbers
from worker.courses.explanation import Explanation

ROW = Row(0, None, 0, None, 0, 0, 0, at(0), at(9), None)


def version(
    number: int, *required: str, hour: int = 0, needed: int = 0, optional: Sequence[str] = (), **changed: Any
) -> Version:
    lessons = [VersionLesson(id, True) for id in required] + [VersionLesson(id, False) for id in optional]
    values = {"policy": "grandfather", "title": None, **changed}
    return Version(number, at(hour), needed=needed or len(required), lessons=tuple(lessons), **values)


def done(lesson: str, hour: int) -> LessonFact:
    return LessonFact(lesson, True, at(hour), at(hour), at(hour))


def taken_back(lesson: str, hour: int) -> LessonFact:
    return LessonFact(lesson, False, None, at(1), at(hour))


def waived(lesson: str, hour: int, reason: str | None = "ill", withdrawn: int | None = None) -> WaiverFact:
    return WaiverFact(lesson, (at(hour),), at(withdrawn) if withdrawn is not None else None, reason)


def facts(*known: Version | LessonFact | WaiverFact, row: Row | None = ROW, **changed: Any) -> Facts:
    kinds: dict[type, list[Any]] = {Version: [], LessonFact: [], WaiverFact: []}
    for fact in known:
        kinds[type(fact)].append(fact)
    lists = {"versions": kinds[Version], "lessons": kinds[LessonFact], "waivers": kinds[WaiverFact]}
    values: dict[str, Any] = {name: tuple(found) for name, found in lists.items()} | changed
    if not kinds[Version]:
        values["unnamed_completed"] = sum(lesson.completed for lesson in kinds[LessonFact])
    return Facts(at(20), USER, COURSE, row, **values)


def has_total(number: int | None, completed_at: datetime | None = None) -> Row:
    return replace(ROW, total_lessons=number, completed_at=completed_at)


LATE = version(2, "a", "b", "c", hour=5)
SUMMARIES = {
    "nothing begun": (
        facts(version(1, "a", "b"), row=None),
        "0 %: 0 of 2 required lessons of version 1 met, 2 missing.",
    ),
    "half": (
        facts(version(1, "a", "b"), done("a", 1)),
        "50 %: 1 of 2 required lessons of version 1 met, 1 missing.",
    ),
    "k of n": (
        facts(version(1, "a", "b", "c", needed=2), done("a", 1)),
        "50 %: 1 of 2 needed lessons of version 1 met; any 1 more of the 2 missing will do.",
    ),
    "complete": (
        facts(version(1, "a"), done("a", 1)),
        "100 %: complete since 2026-01-01 01:00 UTC, by the one required lesson of version 1.",
    ),
    "complete with one missing": (
        facts(version(1, "a", "b"), LATE, done("a", 1), done("b", 2)),
        "100 %: complete since 2026-01-01 02:00 UTC, by all 2 required lessons of version 1. 1 lesson was added since.",
    ),
    "started over": (
        facts(version(1, "a"), row=replace(ROW, reset_at=at(3), last_accessed_at=None)),
        "0 %: 0 of 1 required lesson of version 1 met, 1 missing. The learner started over at 2026-01-01 03:00 UTC.",
    ),
    "a row of before the recount": (
        facts(version(1, "a", "b"), done("a", 1), row=replace(ROW, progress_percentage=33, lessons_completed=1)),
        "50 %: 1 of 2 required lessons of version 1 met, 1 missing. The stored row still says 33 %.",
    ),
    "events alone": (facts(done("a", 1), row=has_total(3)), "33 %: 1 of 3 lessons completed."),
    "events alone, complete": (
        facts(done("a", 1), row=has_total(1, at(1))),
        "100 %: 1 of 1 lesson completed, complete since 2026-01-01 01:00 UTC.",
    ),
    "no total": (
        facts(done("a", 1)),
        "0 %: 1 lesson completed, and nobody has said yet how many lessons the course has.",
    ),
}


def stored(found: Explanation) -> Row:
    """Returns the row that agrees with an explanation."""
    numbers = found.arithmetic
    return replace(
        ROW,
        lessons_completed=numbers.counted,
        total_lessons=numbers.needed,
        progress_percentage=numbers.percentage,
        completed_at=found.completed_at,
        course_version=found.version.version,
        lessons_waived=numbers.waived,
    )


@pytest.mark.parametrize("case", SUMMARIES)
def test_the_summary_answers_the_question(case: str) -> None:
    known, wanted = SUMMARIES[case]
    if known.row and "stored row" not in wanted and known.row.last_accessed_at:
        known = replace(known, row=stored(explain(known)))

    found = explain(known)

    assert found.summary == wanted
    assert found.agrees == ("stored row" not in wanted)


@pytest.mark.parametrize(
    ("counted", "needed", "percentage", "sentence"),
    [
        (8, 13, 62, "8 of 13 → 61.5 → 62 %"),
        (6, 12, 50, "6 of 12 → 50 %"),
        (1, 200, 1, "1 of 200 → 0.5 → 1 %"),
        (174, 283, 61, "174 of 283 → 61.4 → 61 %"),  # 61.48: what is shown must not round otherwise
        (249, 250, 99, "249 of 250 → 99.6 → 99 %, because 100 % is for complete courses only"),
        (5, 5, 100, "5 of 5 → 100 %"),
        (0, None, 0, "0 of an unknown number → 0 %"),
    ],
)
def test_the_arithmetic_rounds_as_the_row_does(
    counted: int, needed: int | None, percentage: int, sentence: str
) -> None:
    found = compute_numbers(counted, counted, 0, needed)

    assert (found.percentage, found.sentence) == (percentage, sentence)


def test_more_than_needed_counts_as_needed() -> None:
    found = explain(facts(version(1, "a", "b", "c", needed=2), done("a", 1), done("b", 2), done("c", 3)))

    assert found.arithmetic.sentence == "3 met, of which 2 count; 2 of 2 → 100 %"
    assert found.completed_at == at(2)


RENAMED = {"replacements": (("new", "old"),)}
EARLY = {"lesson_contents": {1: (LessonContent("a", "Basics", "Part 1"), LessonContent("b", requires=("a",)))}}
LESSONS: dict[str, tuple[Facts, str, str]] = {
    "completed": (facts(version(1, "a"), done("a", 1)), "completed", "completed at 2026-01-01 01:00 UTC"),
    "waived": (facts(version(1, "a"), waived("a", 2)), "waived", "waived at 2026-01-01 02:00 UTC (ill)"),
    "missing": (facts(version(1, "a")), "missing", "missing"),
    "taken back": (
        facts(version(1, "a"), taken_back("a", 3)),
        "missing",
        "missing: it was taken back at 2026-01-01 03:00 UTC",
    ),
    "replaced": (
        facts(version(1, "new"), done("old", 1), **RENAMED),
        "replaced",
        "met by old, which it replaces: completed at 2026-01-01 01:00 UTC",
    ),
    "replaced and completed": (
        facts(version(1, "new"), done("old", 1), done("new", 2), **RENAMED),
        "completed",
        "met by old, which it replaces: completed at 2026-01-01 01:00 UTC",
    ),
    "before its prerequisite": (
        facts(version(1, "b", "a"), done("b", 1), done("a", 2), **EARLY),
        "completed",
        "completed at 2026-01-01 01:00 UTC, before its prerequisite a; it counts all the same",
    ),
    "after its prerequisite": (
        facts(version(1, "b", "a"), done("b", 3), done("a", 2), **EARLY),
        "completed",
        "completed at 2026-01-01 03:00 UTC",
    ),
    "from before a reset": (
        facts(version(1, "a"), done("a", 1), row=replace(ROW, reset_at=at(1))),
        "missing",
        "missing",
    ),
}


@pytest.mark.parametrize("case", LESSONS)
def test_each_required_lesson_says_how_the_learner_stands_to_it(case: str) -> None:
    known, state, sentence = LESSONS[case]

    lesson = explain(known).lessons[0]

    assert (lesson.state, lesson.sentence) == (state, sentence)


IGNORED: dict[str, tuple[Facts, str, str]] = {
    "optional": (
        facts(version(1, "a", optional=["x"]), done("x", 1)),
        "optional",
        "optional: the course is complete without it",
    ),
    "removed": (
        facts(version(1, "a", "x"), version(2, "a", hour=1), done("x", 1)),
        "not-in-version",
        "not in the version that counts; named by version 1",
    ),
    "only replaced, by a lesson that is gone": (
        facts(version(1, "new", "a"), version(2, "a", hour=1), done("old", 1), **RENAMED),
        "not-in-version",
        "not in the version that counts; named by another version, as one that is replaced",
    ),
    "unknown": (facts(version(1, "a"), done("x", 1)), "unknown", "no version of the course names it"),
    "a waiver from before a reset": (
        facts(version(1, "x"), waived("x", 1), row=replace(ROW, reset_at=at(2))),
        "before-reset",
        "waived before the learner started over at 2026-01-01 02:00 UTC",
    ),
    "a withdrawn waiver": (
        facts(version(1, "x"), waived("x", 1, withdrawn=2)),
        "waiver-withdrawn",
        "its waiver was withdrawn at 2026-01-01 02:00 UTC",
    ),
}


@pytest.mark.parametrize("case", IGNORED)
def test_what_does_not_count_says_why(case: str) -> None:
    known, why, sentence = IGNORED[case]

    [ignored] = explain(known).not_counting

    assert (ignored.why, ignored.sentence) == (why, sentence)


AB, ABC = version(1, "a", "b"), version(2, "a", "b", "c", hour=5)
REOPENED = replace(ABC, policy="reopen")
VERSIONS: dict[str, tuple[Facts, str, list[str]]] = {
    "newest": (
        facts(AB, ABC, done("a", 1)),
        "version 2, because it is the newest and the learner is complete under none",
        ["not complete: 1 of 2 met", "not complete: 1 of 3 met"],
    ),
    "kept": (
        facts(AB, ABC, done("a", 1), done("b", 2)),
        "version 1, because the learner is complete under it, and the newest, 2, takes nothing back",
        [
            "complete since 2026-01-01 02:00 UTC, when the last lesson that it needs was met",
            "complete before, under version 1, and this version keeps that; 2 of 3 met",
        ],
    ),
    "reopened": (
        facts(AB, REOPENED, done("a", 1), done("b", 2)),
        "version 2, because it is the newest and the learner is complete under none",
        [
            "complete since 2026-01-01 02:00 UTC, when the last lesson that it needs was met",
            "complete before, under version 1; this version reopens the course, and 2 of 3 met",
        ],
    ),
    "reopened, and met": (
        facts(AB, REOPENED, done("a", 1), done("b", 2), done("c", 3)),
        "version 2, the newest, because the learner is complete under it",
        [
            "complete since 2026-01-01 02:00 UTC, when the last lesson that it needs was met",
            "complete before, under version 1, and this version is met, too, so the date stays",
        ],
    ),
    "late": (
        facts(AB, ABC, done("a", 1), done("b", 6)),
        "version 2, because it is the newest and the learner is complete under none",
        [
            "not complete: what it needs was met at 2026-01-01 06:00 UTC, after the next version was in force",
            "not complete: 2 of 3 met",
        ],
    ),
    "a lesson was removed": (
        facts(AB, version(2, "a", hour=5), done("a", 1)),
        "version 2, the newest, because the learner is complete under it",
        [
            "not complete: 1 of 2 met",
            "complete since it came into force at 2026-01-01 05:00 UTC: what it needs was met before",
        ],
    ),
    "one version": (facts(AB, done("a", 1)), "version 1", ["not complete: 1 of 2 met"]),
    "none": (facts(done("a", 1)), "the course has no version, so the events say how many lessons it has", []),
}


@pytest.mark.parametrize("case", VERSIONS)
def test_the_version_says_why_it_decides_and_each_what_it_made_of_the_learner(case: str) -> None:
    known, sentence, steps = VERSIONS[case]

    found = explain(known)

    assert found.version.sentence == sentence
    assert [step.sentence for step in found.versions] == steps


def test_who_is_held_to_an_earlier_version_reads_what_the_newest_says() -> None:
    found = explain(facts(AB, ABC, done("a", 1), done("b", 2)))

    assert found.newest
    assert (found.newest.version, found.newest.added) == (2, ["c"])
    assert found.newest.sentence == (
        "by version 2, the newest, it would be 67 %: 2 of 3 → 66.6 → 67 %; 1 lesson was added since: c"
    )
    assert explain(facts(AB, done("a", 1))).newest is None


@pytest.mark.parametrize(
    ("type", "cause", "version", "sentence"),
    [
        ("CourseCompleted", "learner", 0, "completed (number 1) at 2026-01-01 01:00 UTC, by what the learner did"),
        (
            "CourseCompletionRevoked",
            "course-changed",
            2,
            "complete no longer (number 1) at 2026-01-01 01:00 UTC, under version 2, because the course changed",
        ),
        ("CourseCompleted", "migrated", 0, "completed (number 1) at 2026-01-01 01:00 UTC, as the events say: migrated"),
    ],
)
def test_transitions_say_when_and_why(type: Any, cause: str, version: int, sentence: str) -> None:
    known = replace(facts(done("a", 1)), transitions=(TransitionFact(type, 1, at(1), version, cause, at(1)),))

    [transition] = explain(replace(known, transitions_known=3)).transitions

    assert transition.sentence == sentence
    assert explain(replace(known, transitions_known=3)).more_transitions == 2


def test_a_recount_under_way_is_told() -> None:
    recount = RecountFact(2, at(5), 10, 100, passed=False)

    found = explain(replace(facts(AB, ABC), recount=recount)).recount

    assert found
    assert found.sentence == (
        "the course is being recounted for version 2, 10 of 100 rows so far; this learner's row may still be of before"
    )


def test_an_explanation_that_contradicts_itself_is_noticed() -> None:
    known = facts(AB, ABC, done("a", 1), done("b", 2), row=None)
    told = explain(known).model_dump(mode="json", by_alias=True)
    assert recompute(told)["course_version"] == 1
    told["lessons"][0]["grounds"] = []

    with pytest.raises(AssertionError):
        recompute(told)
