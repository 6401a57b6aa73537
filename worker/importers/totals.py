"""Decides how many lessons a course has. What is only guessed is not said: then the rows of the course stay open."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from events.catalog import CoursePublished
from worker.errors import ProgressError, SetupError, Unavailable
from worker.importers.identity import make_uuid
from worker.importers.spool import Spool
from worker.postgres.connection import close, connect, query
from worker.postgres.failures import translate_errors
from worker.settings import Settings

MOST_LESSONS = 10_000


@dataclass(frozen=True, slots=True)
class Known:
    """Holds what is known of courses beside the files. `every`: how many lessons a course has, if nothing else says."""

    published: Mapping[UUID, CoursePublished] = field(default_factory=dict)
    catalog: Mapping[UUID, CoursePublished] = field(default_factory=dict)
    given: Mapping[UUID, int] = field(default_factory=dict)
    every: int | None = None
    not_asked: str | None = None  # why `published` is empty, if the database was not asked


@dataclass(frozen=True, slots=True)
class CourseTotal:
    """Says how many lessons of a course are needed, who says so, and what the events say.

    `in_events`: None, where the events say nothing, `own`, what each record says, or this number. `required`: the
    lessons that count; None: all do. `problem`: why a total is not used.
    """

    needed: int | None
    source: str
    in_events: int | str | None = None
    required: Sequence[str] | None = None
    problem: str | None = None


def parse_totals(texts: Iterable[str]) -> dict[UUID, int]:
    """Reads `course=N`; the course is a UUID or the id that the files have. Raises ValueError."""
    found = {}
    for text in texts:
        course, _, total = text.rpartition("=")
        if not course or not total.strip().isdecimal() or not 1 <= int(total) <= MOST_LESSONS:
            raise ValueError(f"{text!r} is not COURSE=N, with N from 1 to {MOST_LESSONS:,}")
        found[make_uuid(course.strip())] = int(total)
    return found


async def read_published(settings: Settings, courses: Sequence[UUID]) -> dict[UUID, CoursePublished]:
    """Reads the newest versions of courses from the database. Raises DatabaseUnavailable or SetupError."""
    connection = await connect(settings, jit="off")
    try:
        with translate_errors(connection):
            rows = await connection.fetch(query("importers/newest_versions"), courses)
    finally:
        await close(connection)
    versions = [CoursePublished.model_validate_json(row["content"]) for row in rows]
    return {version.course_id: version for version in versions}


async def learn_published(settings: Settings, courses: Sequence[UUID], known: Known) -> Known:
    """Adds the newest versions of courses to what is known; or why not, where the database cannot be asked."""
    try:
        return replace(known, published=await read_published(settings, courses))
    except (Unavailable, SetupError) as error:
        return replace(known, not_asked=str(error))


def decide_total(spool: Spool, course: str, course_id: UUID, known: Known) -> CourseTotal:
    """Decides the total of a course, by the first that says one: database, --catalog, --totals, a list, the records."""
    if version := known.published.get(course_id):
        return CourseTotal(version.needed, f"catalog, version {version.version}", None, version.required)
    completed = {lesson for (lesson,) in spool.select(COMPLETED, course)}
    if version := known.catalog.get(course_id):
        return _decide_by_file(version, completed)
    if total := known.given.get(course_id):
        return _decide_by_number(total, "--totals", completed)
    listed = [lesson for (lesson,) in spool.select(LISTED, course)]
    if listed:
        return _decide_by_list(listed, "list of the course's lessons", completed)
    own = spool.select("select max(total) from record where course = ?", course)[0][0]
    if own is not None:
        return _decide_by_records(spool, course, own)
    if known.every is not None:
        return _decide_by_number(known.every, "--total-lessons", completed)
    return CourseTotal(None, "unknown")


# Also what was taken back later: until then it counted.
COMPLETED = "select distinct lesson from record where course = ? and kind = 'completed'"
LISTED = "select distinct lesson from listed where course = ? and place >= 0"
MOST_DONE = "select max(n) from (select count(*) as n from done where course = ? group by user)"


def _decide_by_file(version: CoursePublished, completed: set[str]) -> CourseTotal:
    """Takes the number that a catalog file needs only where counting lessons comes to the same as the version."""
    if version.needed < len(version.lessons):
        problem = "has optional lessons in --catalog: publish it, then its rows are counted by it"
        return CourseTotal(None, "--catalog", problem=problem)
    return _decide_by_list(version.required, "--catalog", completed)


def _decide_by_list(lessons: Sequence[str], source: str, completed: set[str]) -> CourseTotal:
    if unknown := sorted(completed - set(lessons)):
        problem = f"{len(unknown):,} completed lessons are not in the {source}, such as {unknown[0]}: publish a catalog"
        return CourseTotal(None, source, problem=problem)
    if len(lessons) > MOST_LESSONS:
        return CourseTotal(None, source, problem=f"more than {MOST_LESSONS:,} lessons")
    return CourseTotal(len(lessons), source, len(lessons), lessons)


def _decide_by_number(total: int, source: str, completed: set[str]) -> CourseTotal:
    if len(completed) > total:
        problem = f"{source} says {total:,}, and {len(completed):,} different lessons are completed: publish a catalog"
        return CourseTotal(None, source, problem=problem)
    return CourseTotal(total, source, total)


def _decide_by_records(spool: Spool, course: str, total: int) -> CourseTotal:
    most: Any = spool.select(MOST_DONE, course)[0][0] or 0
    if most > total:
        problem = f"the files say {total:,}, and a learner has completed {most:,}: publish a catalog, or give --totals"
        return CourseTotal(None, "files", problem=problem)
    return CourseTotal(total, "files", "own")


def require_file(versions: Sequence[CoursePublished]) -> dict[UUID, CoursePublished]:
    """Returns the versions of catalog files by their courses. Raises ProgressError for a course that is there twice."""
    found = {version.course_id: version for version in versions}
    if len(found) < len(versions):
        raise ProgressError("--catalog: a course is there twice")
    return found
