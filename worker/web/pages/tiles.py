"""Builds the lessons of a course as a learner sees them: what is done, optional or locked, section by section. Pure."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from uuid import UUID

from worker.courses.catalog import Lesson
from worker.courses.outlines import MissingCourse, Outline
from worker.courses.prerequisites import MissingLesson, describe_missing
from worker.web.pages.formatting import name_course, name_lesson

UNFOLDED, FOLD = 24, 20  # lessons: a course of more is folded, by its sections or else into parts of so many


@dataclass(frozen=True, slots=True)
class Lock:
    """Says why a lesson cannot be completed yet."""

    reason: str
    missing: tuple[str, ...]  # the lessons to be completed first; none: courses are


OPEN = Lock("", ())


@dataclass(frozen=True, slots=True)
class Tile:
    """Shows a lesson that can be completed."""

    id: str
    title: str
    anchor: str  # stays with the lesson when others move, so that a second click reaches the same lesson
    completed: bool  # it, or an earlier lesson that it replaces
    href: str | None
    required: bool
    waived: bool  # the learner need not complete it
    replaces: tuple[str, ...]
    lock: Lock = OPEN

    @property
    def note(self) -> str:
        """Returns why the course can be complete without it; empty where it cannot."""
        return "waived" if self.waived else "" if self.required else "optional"


@dataclass(frozen=True, slots=True)
class Section:
    """Shows a part of a course, of whose lessons the page may have no room for some."""

    title: str
    anchor: str
    tiles: tuple[Tile, ...]
    met: int
    of: int
    unfolded: bool


def build_tiles(
    course_id: UUID,
    lessons: Sequence[Lesson],
    completed: Collection[str],
    waived: Collection[str],
    outline: Outline | None = None,
) -> tuple[Tile, ...]:
    titles = {lesson.id: lesson.title for lesson in outline.lessons} if outline else {}
    return tuple(
        Tile(
            lesson.id,
            lesson.title,
            build_anchor(course_id, lesson.id),
            any(lesson_id in completed for lesson_id in (lesson.id, *lesson.replaces)),
            lesson.href,
            lesson.required,
            any(lesson_id in waived for lesson_id in (lesson.id, *lesson.replaces)),
            lesson.replaces,
            build_lock(lesson, outline, titles),
        )
        for lesson in lessons
    )


def build_lock(lesson: Lesson, outline: Outline | None, titles: Mapping[str, str]) -> Lock:
    """Says what is to be completed before the lesson: nothing before one that is met."""
    if outline is None or lesson.id in outline.met:
        return OPEN
    if outline.missing_courses:
        return Lock(describe_courses(outline.missing_courses), ())
    missing = tuple(id for id in lesson.requires if id not in outline.met)
    named = [MissingLesson(id, titles.get(id) or name_lesson(id)) for id in missing]
    return Lock(describe_missing(named), missing) if missing else OPEN


def describe_courses(missing: Sequence[MissingCourse]) -> str:
    """Says which courses are to be completed first, in one sentence without a full stop."""
    named = [MissingLesson(str(each.course_id), name_course(each.title, each.course_id)) for each in missing]
    return describe_missing(named)


def build_sections(outline: Outline | None, tiles: Sequence[Tile], next_id: str | None) -> tuple[Section, ...]:
    """Puts the tiles into the sections of the course; none for a short course without sections.

    Of a long course the section with the next lesson is unfolded, without such a lesson the first one.
    """
    if outline is None or not tiles:
        return ()
    shown = {tile.id: tile for tile in tiles}
    long = len(outline.lessons) > UNFOLDED
    found = []
    for place, (title, lessons) in enumerate(list_parts(outline)):
        own = tuple(shown[lesson.id] for lesson in lessons if lesson.id in shown)
        if own:
            met = sum(lesson.id in outline.met for lesson in lessons)
            goes_on = any(tile.id == next_id for tile in own)
            anchor = build_anchor(outline.course_id, f"section {place} {title}")
            found.append(Section(title, anchor, own, met, len(lessons), goes_on or not long))
    if found and not any(section.unfolded for section in found):
        found[0] = replace(found[0], unfolded=True)
    return tuple(found)


def list_parts(outline: Outline) -> Iterator[tuple[str, Sequence[Lesson]]]:
    """Lists the sections with their lessons; those of a long course without sections are numbered parts of it."""
    lessons = outline.lessons
    if any(lesson.section for lesson in lessons):
        for title, own in groupby(lessons, lambda lesson: lesson.section):
            yield title or "Other lessons", tuple(own)
    elif len(lessons) > UNFOLDED:
        for start in range(0, len(lessons), FOLD):
            own_part = lessons[start : start + FOLD]
            yield f"Lessons {start + 1:,} to {start + len(own_part):,}", own_part


def build_anchor(course_id: UUID, lesson_id: str) -> str:
    """Returns a lesson's part of an element's id, which must not hold a space."""
    return f"{course_id}-{hashlib.blake2s(lesson_id.encode(), digest_size=8).hexdigest()}"


def choose_resume(tiles: Sequence[Tile], last_lesson_id: str | None) -> Tile | None:
    """Returns the last lesson if it is open, else the first open one after it, else the first open one of all.

    A waived lesson is not open.
    """
    last = next((n for n, tile in enumerate(tiles) if tile.id == last_lesson_id), 0)
    return next((tile for tile in [*tiles[last:], *tiles[:last]] if not (tile.completed or tile.waived)), None)
