"""Lessons stand in their sections, long courses fold, and what is locked says why."""

from uuid import uuid4

import pytest

from worker.courses.catalog import Lesson
from worker.courses.outlines import MissingCourse, Outline
from worker.web.pages.tiles import FOLD, Lock, Section, build_sections, build_tiles

COURSE = uuid4()


def outline(*lessons: Lesson, met: str = "", missing: tuple[MissingCourse, ...] = ()) -> Outline:
    return Outline(COURSE, None, 1, len(lessons), True, 1, None, lessons, frozenset(met), 0, missing)


def sections(found: Outline, next_id: str | None = None, shown: int = 10_000) -> tuple[Section, ...]:
    tiles = build_tiles(COURSE, found.lessons[:shown], found.met, (), found)
    return build_sections(found, tiles, next_id)


def test_a_locked_lesson_names_what_comes_first_by_its_title() -> None:
    lessons = (
        Lesson("a", "Basics"),
        Lesson("b", "Verbs", requires=("a",)),
        Lesson("c", "Poems", requires=("a", "b", "z")),
    )

    locks = [tile.lock for tile in build_tiles(COURSE, lessons, (), (), outline(*lessons))]

    assert locks == [
        Lock("", ()),
        Lock("Complete “Basics” first", ("a",)),
        Lock("Complete “Basics”, “Verbs” and “z” first", ("a", "b", "z")),
    ]


@pytest.mark.parametrize(("met", "locked"), [("", True), ("a", False), ("b", False)])
def test_a_lesson_that_is_met_or_whose_requirements_are_is_open(met: str, locked: bool) -> None:
    lessons = (Lesson("a", "Basics"), Lesson("b", "Verbs", requires=("a",)))

    tile = build_tiles(COURSE, lessons, met, (), outline(*lessons, met=met))[1]

    assert bool(tile.lock.reason) == locked


def test_a_course_that_requires_another_locks_all_its_lessons_that_are_not_met() -> None:
    lessons = (Lesson("a", "Basics"), Lesson("b", "Verbs"))
    found = outline(*lessons, met="a", missing=(MissingCourse(uuid4(), "Before"),))

    assert [tile.lock for tile in build_tiles(COURSE, lessons, "a", (), found)] == [
        Lock("", ()),
        Lock("Complete “Before” first", ()),
    ]


def test_a_short_course_shows_its_sections_unfolded_with_how_many_are_met() -> None:
    found = outline(
        Lesson("a", "A", section="One"), Lesson("b", "B", section="Two"), Lesson("c", "C", section="One"), met="a"
    )

    told = sections(found)

    assert [(each.title, each.met, each.of, each.unfolded) for each in told] == [
        ("One", 1, 1, True),
        ("Two", 0, 1, True),
        ("One", 0, 1, True),
    ]
    assert len({each.anchor for each in told}) == 3


def test_a_short_course_without_sections_has_none() -> None:
    assert sections(outline(Lesson("a", "A"), Lesson("b", "B"))) == ()


@pytest.mark.parametrize(("next_id", "unfolded"), [("0", 0), ("25", 1), ("47", 2), (None, 0)])
def test_a_long_course_unfolds_the_part_in_which_the_learner_goes_on(next_id: str | None, unfolded: int) -> None:
    told = sections(outline(*(Lesson(f"{n}", f"{n}") for n in range(48))), next_id)

    assert [each.title for each in told] == ["Lessons 1 to 20", "Lessons 21 to 40", "Lessons 41 to 48"]
    assert [each.unfolded for each in told].index(True) == unfolded
    assert sum(each.unfolded for each in told) == 1


def test_a_section_counts_its_lessons_also_where_the_page_has_no_room_for_them() -> None:
    told = sections(outline(*(Lesson(f"{n}", f"{n}", section="One") for n in range(60))), shown=FOLD)

    assert [(len(each.tiles), each.of) for each in told] == [(FOLD, 60)]
