"""Defines the command `course-progress explain`."""

import asyncio
import sys
from typing import TYPE_CHECKING
from uuid import UUID

import click

from worker.cli.options import WithExamples
from worker.cli.output import say
from worker.plain_text import escape, to_json
from worker.settings import Settings, settings

if TYPE_CHECKING:
    from rich.table import Table

    from worker.courses.explanation import Explanation, IgnoredLesson, RequiredLesson

MARKS = {"completed": ("✓", "green"), "waived": ("✓", "green"), "replaced": ("✓", "green"), "missing": ("·", "yellow")}


@click.command(
    cls=WithExamples,
    short_help="Says why a learner's percentage is what it is.",
    epilog="course-progress explain --user 0190a6e2-0000-7000-8000-000000000001 \\\n"
    "    --course 0190a6e2-0000-7000-8000-00000000000a\n"
    "course-progress explain --user 0190a6e2-0000-7000-8000-000000000001 \\\n"
    "    --course 0190a6e2-0000-7000-8000-00000000000a --json | jq .lessons",
)
@click.option("--user", "user_id", type=click.UUID, required=True, help="The learner.")
@click.option("--course", "course_id", type=click.UUID, required=True, help="The course.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; null where there is nothing to explain.")
def explain(user_id: UUID, course_id: UUID, as_json: bool) -> None:
    """Says how far a learner is in a course, and why: the version that decides, each lesson, and what does not count.

    Exits 0; 1 where the course has no version and the learner no progress in it.
    """
    found = asyncio.run(read_explanation(settings(), user_id, course_id))
    if as_json:
        say(to_json(found.model_dump(mode="json") if found else None))
    elif found:
        print_explanation(found)
    else:
        say(f"no progress of user {user_id} in course {course_id}, which has no version", err=True)
    sys.exit(0 if found else 1)


async def read_explanation(settings: Settings, user_id: UUID, course_id: UUID) -> "Explanation | None":
    """Reads the explanation. Raises DatabaseUnavailable."""
    from worker.courses.explanations import Explanations

    async with Explanations(settings) as explanations:
        return (await explanations.read(user_id, course_id)).value


def print_explanation(found: "Explanation") -> None:
    """Prints the answer first, then its reasons."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(Text(escape(found.summary), "bold"))
    console.print(build_reasons(found))
    for title, lessons, more in (
        ("Lessons", found.lessons, found.more_lessons),
        ("Does not count", found.not_counting, found.more_not_counting),
        (f"By version {found.newest.version}", found.newest.lessons, 0) if found.newest else ("", [], 0),
    ):
        if lessons:
            console.print(Text(f"\n{title}", "bold"), build_lessons(lessons), sep="\n")
        if more:
            console.print(Text(f"and {more:,} more", "dim"))
    if found.transitions:
        console.print(Text("\nTransitions", "bold"))
    for transition in found.transitions:
        console.print(Text(escape(transition.sentence)))


def build_reasons(found: "Explanation") -> "Table":
    """Builds a table of what decides, a line each."""
    from rich.table import Table
    from rich.text import Text

    lines = [("version", found.version.sentence), ("rule", found.rule), ("arithmetic", found.arithmetic.sentence)]
    lines += [(f"version {step.version}", step.sentence) for step in found.versions if len(found.versions) > 1]
    lines += [("newest", found.newest.sentence)] if found.newest else []
    lines += [("recount", found.recount.sentence)] if found.recount else []
    lines += [("started over", f"{found.reset_at:%Y-%m-%d %H:%M} UTC")] if found.reset_at else []
    lines += [("not offered", f"since {found.deleted_at:%Y-%m-%d %H:%M} UTC")] if found.deleted_at else []
    table = Table.grid(padding=(0, 2))
    for name, sentence in lines:
        table.add_row(Text(name, "dim"), Text(escape(sentence)))
    return table


def build_lessons(lessons: "list[RequiredLesson] | list[IgnoredLesson]") -> "Table":
    """Builds a table of lessons: a mark, the lesson, and how the learner stands to it."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for lesson in lessons:
        mark, style = MARKS.get(getattr(lesson, "state", ""), ("-", "dim"))
        title = f"{lesson.title} ({lesson.lesson_id})" if lesson.title else lesson.lesson_id
        table.add_row(Text(mark, style), Text(escape(title)), Text(escape(lesson.sentence), "dim"))
    return table
