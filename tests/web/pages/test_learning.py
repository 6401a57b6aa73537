""" "My learning" shows rows, the catalog's lessons, and lessons that only events name."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest.mock import Mock
from uuid import UUID, uuid4

import pytest

from worker.courses.catalog import Lesson
from worker.courses.lessons import CourseLessons, LessonState, NewestVersion
from worker.learners.activity import Period
from worker.learners.reads import CourseProgress, ProgressStats
from worker.web.pages.catalog import CourseCatalog, NoCatalog
from worker.web.pages.learning import (
    CARD_TILES,
    LEAST_TILES,
    PAGE_TILES,
    CourseCard,
    build_cards,
    build_learning_page,
    choose_resume,
    choose_shown,
    fill_cards,
    list_ids,
)

NOW = datetime(2026, 11, 25, tzinfo=UTC)
STATS = ProgressStats(
    total_courses=2,
    completed_courses=1,
    in_progress_courses=1,
    lessons_completed=7,
    average_percentage=60,
    summed_percentages=120,
)


class Known:
    """Knows one course."""

    def title(self, course_id: UUID) -> str:
        return "Known"

    def lessons(self, course_id: UUID) -> Sequence[Lesson]:
        return [Lesson("a", "First"), Lesson("b", "Second", "/b"), Lesson("c", "Third")]


KNOWN, UNKNOWN = CourseCatalog(Known()), CourseCatalog(NoCatalog())


def row(*completed: str, total: int | None = 3, last: str | None = None, finished: bool = False) -> CourseProgress:
    before = NOW - timedelta(days=2)
    percent = 100 * len(completed) // total if total else 0
    ended = before if finished else None
    return CourseProgress(uuid4(), uuid4(), len(completed), total, percent, completed, last, before, before, ended, 0)


def one(row: CourseProgress) -> CourseCard:
    [card] = build_cards([row], KNOWN, {}, NOW)
    return card


def test_a_course_has_the_catalogs_lessons_with_checkmarks() -> None:
    card = one(row("b", last="b"))

    assert (card.title, card.percent, card.done, card.activity) == (
        "Known",
        33,
        "1 of 3 lessons",
        "Last opened 2 days ago",
    )
    assert [(tile.title, tile.completed) for tile in card.lessons] == [
        ("First", False),
        ("Second", True),
        ("Third", False),
    ]


def test_a_lesson_that_the_catalog_does_not_know_is_there_too() -> None:
    card = one(row("b", "old", total=4))

    assert [tile.id for tile in card.lessons] == ["a", "b", "c", "old"]
    assert card.unknown == 0


def test_without_a_catalog_there_are_the_lessons_that_events_tell_of_and_how_many_are_missing() -> None:
    found = row("x", total=5, last="y")
    known = {found.course_id: CourseLessons(5, (LessonState("x", NOW), LessonState("z", None)))}

    [card] = build_cards([found], UNKNOWN, known, NOW)

    assert card.title == f"Course {str(found.course_id)[:8]}"
    assert [tile.id for tile in card.lessons] == ["x", "z", "y"]
    assert card.unknown == 2


def test_a_click_says_the_catalogs_total_not_the_rows_which_may_be_old() -> None:
    grown, shrunk = one(row("a", total=2)), one(row("a", total=4))

    assert (grown.done, grown.click_total) == ("1 of 2 lessons", 3)
    assert (shrunk.done, shrunk.click_total) == ("1 of 4 lessons", 3)


def test_a_course_that_was_merely_opened_can_be_begun_where_its_lessons_are_known() -> None:
    known = one(row(total=None))
    [unknown] = build_cards([row(total=None, last="a")], UNKNOWN, {}, NOW)

    assert (known.done, known.click_total, known.unknown, known.resume) == ("Not started", 3, 0, known.lessons[0])
    assert (unknown.done, unknown.click_total, unknown.resume) == ("Not started", None, None)


def test_a_completed_course_says_when() -> None:
    completed = replace(row("a", "b", "c", finished=True), last_accessed_at=NOW)

    assert (one(completed).activity, one(completed).active_at) == ("Completed 2 days ago", completed.completed_at)


@pytest.mark.parametrize(
    ("completed", "last", "goes_on"),
    [((), None, "a"), (("a",), "a", "b"), (("a",), "c", "c"), (("c",), "c", "a"), (("a", "b", "c"), "c", None)],
    ids=["not begun", "the next", "the open one", "what was skipped", "all done"],
)
def test_resume_goes_on_where_the_learner_was(
    completed: tuple[str, ...], last: str | None, goes_on: str | None
) -> None:
    tile = one(row(*completed, last=last)).resume

    assert (tile.id if tile else None) == goes_on


def test_a_course_without_lessons_has_nothing_to_resume() -> None:
    assert choose_resume((), "a") is None


def test_the_page_resumes_the_course_that_was_last_open_and_is_not_complete() -> None:
    rows = [row("a", "b", "c", finished=True), row("a", last="a"), row()]

    page = build_learning_page(STATS, build_cards(rows, KNOWN, {}, NOW), [Period(date(2026, 11, 23), 4)])

    assert page.resume is not None
    assert page.resume.id == rows[1].course_id
    assert (page.in_progress, page.completed, page.lessons, page.average) == (1, 1, 7, 60)
    assert page.weeks.rows == [("23 Nov", "4")]


def test_weeks_are_by_utc_if_no_zone_is_known() -> None:
    zones = [build_learning_page(STATS, [], [], **said).zone for said in ({}, {"zone": "Asia/Tokyo"})]

    assert zones == ["UTC", "Asia/Tokyo"]


def test_the_second_page_does_not_call_an_old_course_the_last() -> None:
    page = build_learning_page(STATS, build_cards([row("a", last="a")], KNOWN, {}, NOW), [], first=False)

    assert page.resume is None


def test_a_lesson_without_a_title_has_a_short_id() -> None:
    [known] = build_cards([row("5f3b7a52-0d2f-4f0e-9f4e-1d2c3b4a5968", "intro")], UNKNOWN, {}, NOW)

    assert [tile.title for tile in known.lessons] == ["Lesson 5f3b7a52", "intro"]


def test_lessons_are_named_once() -> None:
    assert list_ids(row("a", "a2", last="a2"), KNOWN, None) == ["a", "b", "c", "a2"]


def test_a_card_shows_the_stretch_of_lessons_in_which_the_learner_goes_on_and_says_how_many_more_there_are() -> None:
    done = row(*(f"{n}" for n in range(450)), total=1000, last="449")

    [card] = build_cards([done], UNKNOWN, {}, NOW)

    assert [tile.id for tile in card.lessons] == [f"{n}" for n in range(2 * CARD_TILES, 450)]
    assert (card.hidden, card.unknown) == (400, 550)


def test_the_cards_of_a_page_share_its_tiles_and_the_last_ones_have_some() -> None:
    rows = [row(*(f"{n}" for n in range(300)), total=10_000) for _ in range(24)]

    tiles = [len(card.lessons) for card in build_cards(rows, UNKNOWN, {}, NOW)]

    assert (sum(tiles), max(tiles), min(tiles)) == (PAGE_TILES, CARD_TILES, LEAST_TILES)


def test_where_the_list_of_completed_lessons_is_cut_the_checkmarks_are_those_that_were_asked_for() -> None:
    cut = replace(row("b", last="c", total=4), lessons_completed=60_000)

    [card] = fill_cards([cut], KNOWN, choose_shown([cut], KNOWN, {}), NOW, {cut.course_id: {"c"}})

    assert [(tile.id, tile.completed) for tile in card.lessons] == [("a", False), ("b", False), ("c", True)]
    assert card.hidden == 60_000 - 3


def versioned(row: CourseProgress, *lessons: Lesson, title: str | None = "Newest", added: int = 0) -> CourseCatalog:
    """The website's catalog, and a version of the row's course that needs its required lessons."""
    version = NewestVersion(2, title, sum(lesson.required for lesson in lessons), lessons)
    return CourseCatalog(Known(), {row.course_id: version}, {row.course_id: added})


def test_a_course_with_a_version_has_its_title_and_lessons_and_no_others_of_the_learner() -> None:
    done = row("a", "gone", last="gone", total=2)
    lessons = [Lesson("a", "One"), Lesson("new", "Two", "/new"), Lesson("extra", "More", required=False)]

    [card] = build_cards([done], versioned(done, *lessons), {}, NOW)

    assert card.title == "Newest"
    assert [(tile.id, tile.title, tile.completed, tile.required) for tile in card.lessons] == [
        ("a", "One", True, True),
        ("new", "Two", False, True),
        ("extra", "More", False, False),
    ]
    assert (card.click_total, card.in_catalog, card.unknown, card.hidden) == (2, True, 0, 0)


def test_a_lesson_is_done_where_the_one_before_it_was() -> None:
    done = row("a", total=2)

    [card] = build_cards([done], versioned(done, Lesson("a2", "One", replaces=("a",)), Lesson("b2", "Two")), {}, NOW)

    assert [(tile.id, tile.completed) for tile in card.lessons] == [("a2", True), ("b2", False)]


def test_a_lesson_that_the_learner_need_not_complete_says_so_and_is_not_resumed() -> None:
    begun = row(total=3)
    lessons = (Lesson("a", "One"), Lesson("b2", "Two", replaces=("b",)), Lesson("c", "More", required=False))
    version = NewestVersion(2, None, 2, lessons)

    [card] = build_cards(
        [begun], CourseCatalog(Known(), {begun.course_id: version}, waived={begun.course_id: {"a", "b"}}), {}, NOW
    )

    assert [tile.note for tile in card.lessons] == ["waived", "waived", "optional"]
    assert card.resume == card.lessons[2]


def test_what_a_version_does_not_title_the_website_may_and_an_id_does_else() -> None:
    begun = row()

    [card] = build_cards([begun], versioned(begun, Lesson("a", ""), Lesson("new", ""), title=None), {}, NOW)

    assert (card.title, [tile.title for tile in card.lessons]) == ("Known", ["First", "new"])


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_the_websites_catalog_may_spell_a_lesson_either_way(form: Any) -> None:
    lesson = Lesson(unicodedata.normalize(form, "été"), "Summer", replaces=(unicodedata.normalize(form, "fête"),))
    website = Mock(title=lambda _: "Seasons", lessons=lambda _: [lesson])

    [card] = build_cards([row("été")], CourseCatalog(website), {}, NOW)
    [other] = build_cards([row("fête")], CourseCatalog(website), {}, NOW)

    assert [(tile.id, tile.title, tile.completed) for tile in card.lessons] == [("été", "Summer", True)]
    assert other.lessons[0].completed
    assert CourseCatalog(website).name_lessons(uuid4(), ["été"])[0].title == "Summer"


@pytest.mark.parametrize(
    ("added", "news"),
    [
        (0, ""),
        (1, "1 lesson was added since you completed this course"),
        (2, "2 lessons were added since you completed this course"),
    ],
)
def test_who_stays_complete_is_told_what_was_added(added: int, news: str) -> None:
    done = row("a", total=1, finished=True)

    [card] = build_cards([done], versioned(done, Lesson("a", "One"), added=added), {}, NOW)

    assert (card.news, card.is_complete) == (news, True)
