"""Outlines a course for one learner, by its newest version: what is met, what is locked and why, what comes next."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Literal
from uuid import UUID

from cachetools import LRUCache

from worker.courses.catalog import Lesson
from worker.courses.lessons import build_lesson, measure_lessons
from worker.courses.prerequisites import Fact, MissingLesson, Named, read_facts
from worker.learners.reads import ProgressReader, ReadResult

KEPT_BYTES = 16 * 1024 * 1024  # of the contents of versions, which never change

NoNext = Literal["complete", "no-catalog", "locked", "course-locked"]


@dataclass(frozen=True, slots=True)
class Content:
    """Holds the lessons of a version in their order, and the courses to be completed before it."""

    lessons: tuple[Lesson, ...]
    requires_courses: tuple[UUID, ...]

    def measure(self) -> int:
        """Returns about how many bytes this takes in memory."""
        return measure_lessons(self.lessons) + 100 * len(self.requires_courses)


@dataclass(frozen=True, slots=True)
class MissingCourse:
    """Names a course that is to be completed first."""

    course_id: UUID
    title: str | None


@dataclass(frozen=True, slots=True)
class LessonState:
    """Says how a lesson is met, if it is: completed, waived, or by an earlier lesson that it replaces."""

    completed_at: datetime | None = None
    waived_at: datetime | None = None
    met_by: str | None = None  # the earlier lesson; then the dates are of that one


@dataclass(frozen=True, slots=True)
class Outline:
    """Shows a course with a version to one learner, who need not have begun it."""

    course_id: UUID
    title: str | None
    version: int  # the newest
    needed: int  # how many of its required lessons complete the course
    begun: bool
    held: int  # the version of the learner's progress row (rule 11); 0: there is none, or it is not judged yet
    completed_at: datetime | None
    lessons: tuple[Lesson, ...]  # in the order of the course
    met: frozenset[str]  # the lessons of the newest version that are met, required or not (rule 8)
    added: int  # required lessons that came since the learner completed the course, and are not met
    missing_courses: tuple[MissingCourse, ...]  # to be completed first: the course's page is locked until then

    @property
    def sections(self) -> list[tuple[str | None, list[Lesson]]]:
        """Returns the lessons by section, in the order of the course. A section may come more than once."""
        return [(section, list(lessons)) for section, lessons in groupby(self.lessons, lambda lesson: lesson.section)]

    def list_missing(self, lesson: Lesson) -> tuple[MissingLesson, ...]:
        """Returns what is to be completed before the lesson, and is not met: it is locked if there is anything.

        A lesson that is met is not locked, whatever it requires.
        """
        if lesson.id in self.met or not lesson.requires:
            return ()
        missing = [id for id in lesson.requires if id not in self.met]
        titles = {each.id: each.title for each in self.lessons} if missing else {}
        return tuple(MissingLesson(id, titles.get(id) or None) for id in missing)


@dataclass(frozen=True, slots=True)
class Next:
    """Says where a learner goes on; without a lesson, why not, and what is missing."""

    lesson: Lesson | None = None
    reason: NoNext | None = None
    missing: tuple[MissingLesson, ...] = ()  # before the first lesson that is locked, where all are
    missing_courses: tuple[MissingCourse, ...] = ()


def find_next(outline: Outline | None) -> Next:
    """Finds the first lesson, in the order of the course, that is required, not met and not locked. Pure."""
    if outline is None:
        return Next(reason="no-catalog")
    left = [lesson for lesson in outline.lessons if lesson.required and lesson.id not in outline.met]
    if outline.completed_at is not None or not left:
        return Next(reason="complete")
    if outline.missing_courses:
        return Next(reason="course-locked", missing_courses=outline.missing_courses)
    # Without the titles, which are searched for where they are told.
    found = next((lesson for lesson in left if outline.met.issuperset(lesson.requires)), None)
    if found is None:
        return Next(reason="locked", missing=outline.list_missing(left[0]))
    return Next(found)


class Outlines:
    """Reads outlines. It remembers what versions consist of, and asks about the learner each time."""

    def __init__(self) -> None:
        self._contents: LRUCache[tuple[UUID, int], Content] = LRUCache(KEPT_BYTES, Content.measure)

    async def read_outlines(
        self, reads: ProgressReader, user_id: UUID, course_ids: Iterable[UUID]
    ) -> ReadResult[dict[UUID, Outline]]:
        """Returns outlines by course id; courses without a version are missing. Raises DatabaseUnavailable.

        One query, and further ones where a version is not remembered, was added to, or requires courses.
        """
        rows = await reads.fetch("courses/outlines", user_id, list(course_ids))
        as_of = rows[0]["as_of"]
        rows = [row for row in rows if row["course_id"] is not None]
        contents = {row["course_id"]: await self._read_content(reads, row["course_id"], row["version"]) for row in rows}
        missing = await read_missing_courses(reads, user_id, contents.values())
        changed = [row["course_id"] for row in rows if row["completed_at"] and 0 < row["held"] < row["version"]]
        counted = await reads.fetch("courses/added_lessons", user_id, changed) if changed else []
        added = {row["course_id"]: row["added"] for row in counted}
        return ReadResult(
            as_of,
            {
                row["course_id"]: build_outline(
                    row, contents[row["course_id"]], missing, added.get(row["course_id"], 0)
                )
                for row in rows
            },
        )

    async def _read_content(self, reads: ProgressReader, course_id: UUID, version: int) -> Content:
        known = self._contents.get((course_id, version))
        if known is None:
            lessons = await reads.fetch("courses/lessons_of_version", course_id, version)
            courses = await reads.fetch("courses/required_courses", course_id, version)
            known = Content(tuple(map(build_lesson, lessons)), tuple(row["course_id"] for row in courses))
            if known.measure() <= KEPT_BYTES:
                self._contents[course_id, version] = known
        return known


async def read_missing_courses(
    reads: ProgressReader, user_id: UUID, contents: Iterable[Content]
) -> dict[UUID, MissingCourse]:
    """Returns those of the required courses that the learner has not completed, by course id."""
    required = {course_id for content in contents for course_id in content.requires_courses}
    rows = await reads.fetch("courses/incomplete_courses", user_id, list(required)) if required else []
    return {row["course_id"]: MissingCourse(row["course_id"], row["title"]) for row in rows}


def build_outline(row: Any, content: Content, missing: dict[UUID, MissingCourse], added: int) -> Outline:
    return Outline(
        course_id=row["course_id"],
        title=row["title"],
        version=row["version"],
        needed=row["needed"],
        begun=row["begun"],
        held=row["held"],
        completed_at=row["completed_at"],
        lessons=content.lessons,
        met=frozenset(row["met"]),
        added=added,
        missing_courses=tuple(missing[id] for id in dict.fromkeys(content.requires_courses) if id in missing),
    )


async def read_states(reads: ProgressReader, user_id: UUID, lessons: Iterable[Named]) -> dict[Named, LessonState]:
    """Says of these lessons (course id, lesson id), those that a page shows, how each is met; others are missing.

    One query, whose cost grows with the lessons named. Raises DatabaseUnavailable.
    """
    facts = await read_facts(reads, user_id, lessons)
    found = {(course, lesson): choose_state(lesson, each) for (course, lesson), each in facts.items()}
    return {named: state for named, state in found.items() if state is not None}


def choose_state(lesson_id: str, facts: Sequence[Fact]) -> LessonState | None:
    """Says how the lesson is met: by itself before others, completed before waived. None: it is not."""
    for fact in order_facts(lesson_id, facts):
        by = None if fact.lesson_id == lesson_id else fact.lesson_id
        if fact.completed:
            return LessonState(completed_at=fact.completed_at, met_by=by)
        if fact.waived_at is not None:
            return LessonState(waived_at=fact.waived_at, met_by=by)
    return None


def order_facts(lesson_id: str, facts: Sequence[Fact]) -> Iterator[Fact]:
    yield from (fact for fact in facts if fact.lesson_id == lesson_id)
    yield from sorted((fact for fact in facts if fact.lesson_id != lesson_id), key=lambda fact: fact.lesson_id)
