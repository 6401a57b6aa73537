"""The page alone answers why a percentage is what it is, in a learner's words."""

from dataclasses import replace
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.factories import COURSE, USER, at
from worker.courses.catalog import Lesson
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
from worker.courses.outlines import MissingCourse, Outline
from worker.web.pages.catalog import CourseCatalog, NoCatalog
from worker.web.pages.why import MOST_LINES, WhyPage, build_why_page

ROW = Row(0, None, 0, None, 0, 0, 0, at(0), at(9), None)
TITLES = {"a": "Basics", "b": "Verbs", "c": "Poems", "x": "Songs"}


def version(number: int, lessons: str, hour: int = 0, needed: int = 0, **changed: Any) -> Version:
    """Names its lessons by letters, of which capitals are optional."""
    named = tuple(VersionLesson(letter.lower(), letter.islower()) for letter in lessons)
    values = {"policy": "grandfather", "title": None} | changed
    return Version(number, at(hour), needed=needed or sum(map(str.islower, lessons)), lessons=named, **values)


def done(lesson: str, hour: int = 1) -> LessonFact:
    return LessonFact(lesson, True, at(hour), at(hour), at(hour))


def tell(*known: Version | LessonFact | WaiverFact, outline: Outline | None = None, **changed: Any) -> WhyPage:
    """Builds the page; the row agrees unless it is given."""
    versions = tuple(fact for fact in known if isinstance(fact, Version))
    lessons = tuple(fact for fact in known if isinstance(fact, LessonFact))
    waivers = tuple(fact for fact in known if isinstance(fact, WaiverFact))
    named = tuple(LessonContent(id, title) for id, title in TITLES.items())
    contents = {each.version: named for each in versions}
    values: dict[str, Any] = {"versions": versions, "lessons": lessons, "waivers": waivers, "lesson_contents": contents}
    values |= {} if versions else {"unnamed_completed": len(lessons)}
    facts = Facts(at(20), USER, COURSE, **{"row": ROW} | values | changed)
    found = explain(facts)
    if "row" not in changed:
        numbers = found.arithmetic
        row = Row(
            numbers.counted,
            numbers.needed,
            numbers.percentage,
            found.completed_at,
            0,
            found.version.version,
            numbers.waived,
            at(0),
            at(9),
            None,
        )
        facts = replace(facts, row=row)
    return build_why_page(
        explain(facts), CourseCatalog(NoCatalog(), outlines={COURSE: outline} if outline else {}), UTC
    )


def outline(lessons: tuple[Lesson, ...], met: str = "", *missing: MissingCourse) -> Outline:
    return Outline(COURSE, None, 1, len(lessons), True, 1, None, lessons, frozenset(met), 0, missing)


A, B = Lesson("a", "Basics"), Lesson("b", "Verbs", requires=("a",))


def test_why_62_percent() -> None:
    page = tell(version(1, "abcdefghijklm"), *(done(letter) for letter in "abcdefgh"))

    assert (page.percent, page.answer) == (62, "You have 8 of the 13 lessons that this course needs. 5 are left.")
    assert page.sums == ("8 of 13", "61.5%", "62%")
    assert ("What completes it?", "All 13 required lessons.") in page.answers
    assert ("Which version counts?", "Version 1, published on 1 Jan 2026: the newest.") in page.answers
    assert [(listing.title, len(listing.lines)) for listing in page.listings] == [
        ("Missing", 5),
        ("Done, and it counts", 8),
    ]


def test_why_not_complete_with_all_ticks() -> None:
    page = tell(version(1, "abX"), done("a"), done("x"), done("old"))
    answers = dict(page.answers)

    assert answers["Why is it not complete, with all these ticks?"] == (
        "“Songs” is optional and does not count. “old” is no lesson of this course. 1 required lesson is missing."
    )
    assert [(line.title, line.about) for line in page.listings[2].lines] == [
        ("Songs", "Optional: the course is complete without it"),
        ("old", "The course does not have this lesson"),
    ]


def test_why_not_complete_where_all_was_met_after_the_next_version() -> None:
    page = tell(version(1, "a"), version(2, "ab", hour=3), done("a", 5))

    assert dict(page.answers)["Why is it not complete, with all these ticks?"] == (
        "What version 1 needs you had only after the next version came on 1 Jan 2026, 03:00. "
        "1 required lesson is missing."
    )


def test_why_complete_with_one_missing_and_why_it_grew() -> None:
    page = tell(version(1, "ab"), version(2, "abc", hour=5), done("a"), done("b", 2))
    answers = dict(page.answers)

    assert page.answer == "You completed this course on 1 Jan 2026, with 2 of the 2 lessons that it needed."
    assert answers["Why is it complete, with a lesson missing?"] == (
        "You completed version 1 on 1 Jan 2026, and later versions take nothing back. "
        "By version 2, the newest, you would be at 67%: 2 of 3."
    )
    assert answers["Why did the course grow?"] == (
        "“Poems” was added by version 2 on 1 Jan 2026. "
        "Your completion, and a certificate if you have one, stay as they are."
    )
    assert [line.title for line in page.listings[1].lines] == ["Poems"]


def test_why_complete_where_some_lessons_are_enough() -> None:
    begun = tell(version(1, "abc", needed=2), done("a"))
    complete = tell(version(1, "abc", needed=2), done("a"), done("b"))

    assert begun.answer == "You have 1 of the 2 lessons that this course needs. Any 1 more will do."
    assert dict(complete.answers)["Why is it complete, with a lesson missing?"] == (
        "Any 2 of its 3 required lessons complete it, so 1 may stay open."
    )


def test_why_the_course_of_who_is_not_complete_grew() -> None:
    page = tell(version(1, "a"), version(2, "abc", hour=5), done("b"))

    assert dict(page.answers)["Why did the course grow?"] == (
        "Version 2 of 1 Jan 2026 needs 3 lessons; version 1 needed 1."
    )


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (outline((A, B)), "“Basics”."),
        (outline((A, B), "a"), "“Verbs”."),
        (outline((B,)), "Complete “a” first: it opens the next lesson."),
        (outline((A,), "", MissingCourse(USER, "Before")), "Complete “Before” first: it opens this course."),
        (None, "Any lesson that is not ticked."),
    ],
    ids=["the first", "the next", "locked", "the course is locked", "no version"],
)
def test_what_next(known: Outline | None, said: str) -> None:
    assert dict(tell(version(1, "ab"), outline=known).answers)["What next?"] == said


def test_what_next_for_who_is_done() -> None:
    assert dict(tell(version(1, "a"), done("a")).answers)["What next?"] == "Nothing: you are done."


def test_a_waiver_and_a_replaced_lesson_say_how_they_count() -> None:
    waived = WaiverFact("a", (at(2),), None, "ill")
    page = tell(version(1, "ab"), waived, done("b0", 3), replacements=(("b", "b0"),))

    assert page.answer == "You completed this course on 1 Jan 2026, with 2 of the 2 lessons that it needed."
    assert dict(page.answers)["Why is it complete, with a lesson missing?"].startswith("You need not do “")
    assert [(line.state, line.about) for line in page.listings[0].lines] == [
        ("waived", "You need not do it, since 1 Jan 2026 (ill)"),
        ("met", "Done on 1 Jan 2026, as “b0”, which it replaces"),
    ]


def test_what_may_still_change_is_said() -> None:
    recount = tell(version(1, "ab"), done("a"), recount=RecountFact(2, at(3), 10, 90, passed=False))
    old = tell(version(1, "ab"), done("a"), row=replace(ROW, progress_percentage=33, lessons_completed=1))
    over = tell(version(1, "ab"), row=replace(ROW, reset_at=at(3), last_accessed_at=None))

    assert recount.notes == (
        "The course has changed, and figures are being counted again for version 2: "
        "yours may still be those of before.",
    )
    assert (old.percent, old.notes) == (
        33,
        ("Your figures are being brought up to date: by what stands here they are 50%.",),
    )
    assert over.notes == ("You started over on 1 Jan 2026, 03:00. What was done before does not count.",)


def test_what_was_announced_is_told_with_its_date_and_cause_in_the_zone() -> None:
    transitions = (
        TransitionFact("CourseCompleted", 1, at(1), 1, "learner", at(1)),
        TransitionFact("CourseCompletionRevoked", 1, at(2), 1, "course-changed", at(2)),
    )
    facts = Facts(at(20), USER, COURSE, ROW, versions=(version(1, "ab"),), transitions=transitions, transitions_known=5)
    page = build_why_page(explain(facts), CourseCatalog(NoCatalog()), ZoneInfo("Asia/Tokyo"))
    told = page.listings[-1]

    assert [(line.state, line.title, line.about) for line in told.lines] == [
        ("completed", "Course completed of version 1", "1 Jan 2026, 10:00, by what you did"),
        ("revoked", "No longer complete of version 1", "1 Jan 2026, 11:00, because the course changed"),
    ]
    assert (told.hidden, page.zone) == (3, "Asia/Tokyo")


def test_a_course_without_a_version_is_explained_by_its_events() -> None:
    page = tell(done("a"), row=replace(ROW, lessons_completed=1, total_lessons=3, progress_percentage=33))

    assert page.answer == "You have 1 of the 3 lessons that this course needs. 2 are left."
    assert page.sums == ("1 of 3", "33.3%", "33%")
    assert dict(page.answers)["What completes it?"] == (
        "3 lessons: so many does the course have, as your player said last."
    )
    assert "Which version counts?" not in dict(page.answers)


def test_without_a_total_there_is_no_arithmetic() -> None:
    page = tell(done("a"), row=ROW)

    assert page.answer == "Nobody has said yet how many lessons this course has, so it stays at 0%."
    assert page.sums == ()


def test_a_long_course_is_cut_and_says_so() -> None:
    lessons = tuple(VersionLesson(f"{n}", True) for n in range(2000))
    page = tell(Version(1, at(0), "grandfather", 2000, None, lessons))

    [missing] = page.listings
    assert (len(missing.lines), missing.hidden) == (MOST_LINES, 2000 - MOST_LINES)


def test_almost_complete_stays_below_100() -> None:
    lessons = tuple(VersionLesson(f"{n}", True) for n in range(1000))
    page = tell(Version(1, at(0), "grandfather", 1000, None, lessons), *(done(f"{n}") for n in range(999)))

    assert (page.percent, page.capped, page.sums) == (99, True, ("999 of 1,000", "99.9%", "99%"))
