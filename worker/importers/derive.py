"""Writes what files say of courses as a catalog file, to look at, edit and publish."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml  # type: ignore[import-untyped]

from events.catalog import MOST_LESSONS, CoursePublished
from worker.errors import ProgressError
from worker.importers.identity import make_uuid
from worker.importers.spool import Spool

# In the order of a list of the course's contents, where one was read, otherwise in that of their first use.
LESSONS = """
with used as (
    select lesson, min(at) as at, max(kind = 'completed') as completed from record
    where course = :course and lesson is not null group by lesson
),
ordered as (select lesson, min(place) as place from listed where course = :course and place >= 0 group by lesson)
select lesson, coalesce(used.completed, 0),
       (select max(lesson_title) from listed l where l.lesson = each.lesson and l.course in (:course, '')),
       (select max(section) from listed l where l.lesson = each.lesson and l.course = :course)
from (select lesson from used union select lesson from listed where course = :course) each
left join used using (lesson) left join ordered using (lesson)
order by ordered.place is null, ordered.place, used.at is null, used.at, lesson
"""
COURSES = "select course from record where course <> '' union select course from listed where course <> '' order by 1"
HEAD = """\
# What imported files say of {course}. Look at it: are these all lessons, in their order, and which are optional?
# Then `course-progress catalog check FILE`, and `course-progress catalog publish FILE`.
"""
DIFFERS = "# The files say that it has {said:,} lessons, and name {found:,}.\n"


def list_courses(spool: Spool) -> list[str]:
    """Returns the ids of the courses that the files name."""
    return [course for (course,) in spool.select(COURSES)]


def write_catalog(spool: Spool, path: Path, newest: Mapping[UUID, CoursePublished]) -> list[str]:
    """Writes a version of each course, one behind the `newest` known. Returns a text for each course that is left out.

    Raises ProgressError where the file is there already, or cannot be written.
    """
    left_out, texts = [], []
    for course in list_courses(spool):
        lessons = spool.database.execute(LESSONS, {"course": course}).fetchall()
        if len(lessons) > MOST_LESSONS:
            left_out.append(f"{course} has {len(lessons):,} lessons, and a catalog file has {MOST_LESSONS:,} at most")
        elif lessons:
            texts.append(_format_course(spool, course, lessons, newest))
    try:
        if path.exists() and path.stat().st_size:
            raise ProgressError(f"{path} is there already: name another file, or remove it")
        path.write_text("---\n".join(texts), encoding="utf-8")
    except OSError as error:
        raise ProgressError(f"{path} cannot be written: {error}") from error
    return left_out


def _format_course(spool: Spool, course: str, lessons: Iterable[Any], newest: Mapping[UUID, CoursePublished]) -> str:
    course_id = make_uuid(course)
    known = newest.get(course_id)
    title = spool.select("select max(course_title) from listed where course = ?", course)[0][0]
    version: dict[str, Any] = {"course_id": str(course_id), "version": known.version + 1 if known else 1}
    if title:
        version["title"] = title
    listed = [_build_lesson(*row) for row in lessons]
    said = spool.select("select max(total) from record where course = ?", course)[0][0]
    differs = said is not None and said != len(listed)
    text = HEAD.format(course=_quote(course)) + (DIFFERS.format(said=said, found=len(listed)) if differs else "")
    text += dump(version) + "lessons:\n"
    for lesson, completed in listed:
        text += "" if completed else "# Nobody has completed this one in the files:\n"
        text += dump([lesson])
    return text


def _build_lesson(lesson: str, completed: int, title: str | None, section: str | None) -> tuple[dict[str, str], bool]:
    named = {"lesson_id": lesson, "title": title, "section": section}
    return {name: value for name, value in named.items() if value}, bool(completed)


def dump(value: Any) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)
    return text


def _quote(text: str) -> str:
    """Writes a text so that it stays in a comment."""
    return "".join(character if character.isprintable() else "?" for character in text)
