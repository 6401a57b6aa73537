"""Says what an import found, and what it would do or has done: as a table for people, and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table

from events.models import EPOCH, MICROSECOND
from worker.importers.identity import make_uuid
from worker.importers.spool import Spool
from worker.importers.tally import Tally
from worker.importers.totals import CourseTotal, Known, decide_total
from worker.plain_text import escape

COURSES = """
select course, count(distinct user), count(distinct lesson), count(distinct case kind when 'completed' then lesson end)
from record group by course order by count(*) desc, course
"""
RANGE = "select count(*), count(distinct user), min(at), max(at) from record"
KINDS = "select kind, count(*) from record group by kind"
COMPLETE = "select count(*) from (select 1 from done where course = ? group by user having count(*) >= ?)"
COMPLETE_OF = """
select count(*) from (
    select 1 from done where course = ? and lesson in (select lesson from required) group by user having count(*) >= ?
)
"""
MOST_NAMED = 5
MOST_ROWS = 40  # of the table


@dataclass(frozen=True, slots=True)
class CourseReport:
    """Describes a course as the files have it. `would_complete`: None where the total is not known."""

    id: str
    course_id: UUID
    title: str | None
    learners: int
    lessons: int
    lessons_completed: int
    total: int | None
    total_from: str
    would_complete: int | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Describes all that the files have. Times are UTC."""

    files: list[str]
    learners: int
    courses: list[CourseReport]
    events: dict[str, int]
    first: datetime | None
    last: datetime | None
    skipped: dict[str, int]
    malformed: int
    malformed_examples: list[dict[str, object]]
    warnings: list[str]

    @property
    def count(self) -> int:
        """Returns how many events there are to publish."""
        return sum(self.events.values())


def build_report(
    spool: Spool, known: Known, tally: Tally, warnings: list[str]
) -> tuple[ImportReport, dict[str, CourseTotal]]:
    """Builds the report, and decides the total of each course, by its id in the files."""
    spool.change("delete from done")
    spool.change("insert into done select course, user, lesson from state where kind = 'completed'")
    totals: dict[str, CourseTotal] = {}
    courses = []
    for course, learners, lessons, completed in spool.select(COURSES):
        course_id = make_uuid(course)
        total = totals[course] = decide_total(spool, course, course_id, known)
        complete = _count_complete(spool, course, total)
        title = spool.select("select max(course_title) from listed where course = ?", course)[0][0]
        found = (course, course_id, title, learners, lessons, completed, total.needed, total.source, complete)
        courses.append(CourseReport(*found, total.problem))
    _, learners, first, last = spool.select(RANGE)[0]
    report = ImportReport(
        tally.files,
        learners,
        courses,
        {"completed": 0, "uncompleted": 0, "accessed": 0} | dict(spool.select(KINDS)),
        _to_time(first),
        _to_time(last),
        dict(tally.skipped.most_common()),
        tally.malformed,
        tally.examples,
        [*warnings, *_warn(courses, known)],
    )
    return report, totals


def _count_complete(spool: Spool, course: str, total: CourseTotal) -> int | None:
    if total.needed is None:
        return None
    if total.required is None:
        return int(spool.select(COMPLETE, course, total.needed)[0][0])
    spool.change("delete from required")
    spool.change("insert or ignore into required values (?)", [(lesson,) for lesson in total.required])
    return int(spool.select(COMPLETE_OF, course, total.needed)[0][0])


def _to_time(at: int | None) -> datetime | None:
    return None if at is None else (EPOCH + at * MICROSECOND).astimezone(UTC)


def _warn(courses: list[CourseReport], known: Known) -> Iterator[str]:
    if known.not_asked and courses:
        yield f"the catalog was not asked for totals: {known.not_asked}"
    for course in [course for course in courses if course.problem][:MOST_NAMED]:
        yield f"course {escape(course.id)} stays open: {escape(course.problem or '')}"
    unknown = [course for course in courses if course.total is None and not course.problem]
    if unknown:
        named = ", ".join(escape(course.id) for course in unknown[:MOST_NAMED])
        more = f" and {len(unknown) - MOST_NAMED:,} more" if len(unknown) > MOST_NAMED else ""
        yield (
            f"nothing says how many lessons {named}{more} have, so their rows stay open: give --totals COURSE=N or "
            "--catalog FILE, or publish a catalog (--derive-catalog OUT writes one)"
        )


def to_dict(report: ImportReport, published: int | None) -> dict[str, Any]:
    """Returns the report for JSON; `published` is None for a dry run."""
    return {**asdict(report), "dry_run": published is None, "published": published or 0}


def format_table(report: ImportReport, width: int) -> str:
    """Formats the report for people: a line of what there is, and a row for each course."""
    console = Console(width=max(width, 80), color_system=None, force_terminal=False)
    times = f"; {report.first:%Y-%m-%d} to {report.last:%Y-%m-%d}" if report.first and report.last else ""
    events = ", ".join(f"{count:,} {kind}" for kind, count in report.events.items())
    table = Table(box=None, pad_edge=False)
    for name in ("course", "title", "learners", "lessons", "total", "from", "would complete"):
        table.add_column(name, justify="right" if name in ("learners", "lessons", "total") else "left", overflow="fold")
    for course in report.courses[:MOST_ROWS]:
        complete = "stays open" if course.would_complete is None else f"{course.would_complete:,}"
        total = "?" if course.total is None else f"{course.total:,}"
        lessons = f"{course.lessons_completed:,} of {course.lessons:,}"
        texts = (course.id, course.title or "", f"{course.learners:,}", lessons, total, course.total_from, complete)
        table.add_row(*map(escape, texts))
    with console.capture() as captured:
        console.print(f"learners: {report.learners:,}; courses: {len(report.courses):,}{times}", highlight=False)
        console.print(f"events: {events}", highlight=False)
        if report.courses:
            console.print(table)
        if len(report.courses) > MOST_ROWS:
            console.print(f"and {len(report.courses) - MOST_ROWS:,} courses more: --json has all", highlight=False)
    return "\n".join(line.rstrip() for line in captured.get().rstrip().split("\n"))
