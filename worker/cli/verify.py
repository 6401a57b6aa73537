"""Defines the command `course-progress verify`."""

import asyncio
import sys
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from worker.cli.options import Moment, WithExamples
from worker.cli.output import say
from worker.cli.verify_against import Duration, Table, compare_with
from worker.errors import ProgressError
from worker.kafka.topics import fetch_partitions
from worker.plain_text import escape, to_json
from worker.postgres.connection import close
from worker.repair.recount import Difference, Repair, Scope, Verify, connect_to_recount
from worker.settings import Settings, settings

USERS = click.Path(exists=True, dir_okay=False, path_type=Path)
DIFFERENCES, ERROR = 1, 3  # exit statuses; 2 is a wrong command line


@click.command(
    cls=WithExamples,
    short_help="Recounts progress rows; --fix repairs them.",
    epilog="course-progress verify\n"
    "course-progress verify --course 0190a6e2-0000-7000-8000-00000000000a --fix\n"
    "course-progress verify --since 2026-11-24T00:00:00Z --json | jq .user_id\n"
    "course-progress verify --against report.csv --columns Username=user,Done=completed_at --tolerance 1d",
)
@click.option("--course", "course_id", type=click.UUID, help="Only this course.")
@click.option("--since", type=Moment(), help="Only progress rows written since then.")
@click.option("--fix", is_flag=True, help="Repair what differs, and announce the completions it adds or revokes.")
@click.option("--json", "as_json", is_flag=True, help="Print each difference as one JSON object.")
@click.option(
    "--against",
    metavar="FILE",
    help="Compare with another system's table instead: CSV or JSON lines, plain or packed; - is standard input. It has "
    "the columns user, course, and any of lessons_completed, progress_percentage, completed_at.",
)
@click.option("--columns", multiple=True, metavar="THEIRS=OURS", help="With --against: names of columns; repeatable.")
@click.option("--users", type=USERS, help="With --against: as `import` takes it.")
@click.option("--site", metavar="URL", help="With --against: the address of the system that gave the learners' ids.")
@click.option("--tolerance", type=Duration(), default="1s", help="With --against: how far dates may differ.  [1s]")
@click.option("--lenient", is_flag=True, help="With --against: malformed lines do not count.")
def verify(
    course_id: UUID | None, since: datetime | None, fix: bool, as_json: bool, against: str | None, **options: Any
) -> None:
    """Recounts every progress row from its lesson rows; workers may run.

    With --against it compares the rows with another system's instead, the worst differences first.

    Exits 0 if nothing differs, 1 if something differed, repaired or not, and 3 if it could not read the rows.
    """
    if against and (fix or since):
        raise click.UsageError("--against compares all rows and repairs none: leave --fix and --since out")
    try:
        if against:
            found = verify_against(against, course_id, as_json=as_json, **options)
        else:
            found = asyncio.run(verify_rows(settings(), Scope(course_id, since), fix=fix, as_json=as_json))
    except ProgressError as error:
        say(f"course-progress: {escape(str(error))}", err=True)
        sys.exit(ERROR)
    sys.exit(DIFFERENCES if found else 0)


def verify_against(
    path: str,
    course_id: UUID | None,
    *,
    as_json: bool,
    columns: tuple[str, ...],
    users: Path | None,
    site: str | None,
    tolerance: timedelta,
    lenient: bool,
) -> int:
    """Compares the rows with another system's table. Returns how many differ or, unless `lenient`, are malformed."""
    table = Table()
    table.read(path, columns, users, site)
    differing = asyncio.run(compare_with(settings(), table, course_id, tolerance, as_json=as_json))
    return differing + (0 if lenient else table.malformed)


async def verify_rows(settings: Settings, scope: Scope, *, fix: bool, as_json: bool) -> int:
    """Prints each difference when it is found, and repairs it with `fix`. Returns how many there were."""
    topic = settings.lesson_events_topic
    partitions = await fetch_partitions(settings, topic) if fix else []
    connection = await connect_to_recount(settings)
    number = 0
    try:
        verify = Verify(connection, scope, say=partial(say, err=True))
        repair = Repair(connection, topic, partitions, settings.milestones)
        async with aclosing(verify.differences()) as differences:
            async for difference in differences:
                shown = await repair(difference) if fix else difference
                if shown:
                    number += 1
                    say(format_json(shown) if as_json else format_line(shown))
    finally:
        await close(connection)
    say(f"{verify.rows:,} progress rows recounted: {number:,} {'repaired' if fix else 'differ'}", err=True)
    return number


def format_line(difference: Difference) -> str:
    """Formats one difference as a line to be read."""
    parts = [
        f"{name} {format_value(difference.found[name])}, recounted {format_value(recounted)}"
        for name, recounted in difference.recounted.items()
    ]
    if difference.id is None:
        parts.insert(0, "lesson rows without a progress row")
    if difference.lessons_before_reset:
        parts.append(f"{difference.lessons_before_reset} lesson rows from before its reset")
    if difference.repaired:
        parts.append("repaired" + (f", {difference.announce} announced" if difference.announce else ""))
    return f"user {difference.user_id} course {difference.course_id}: " + "; ".join(parts)


def format_json(difference: Difference) -> str:
    """Formats one difference as a JSON object."""
    return to_json(
        {
            "user_id": str(difference.user_id),
            "course_id": str(difference.course_id),
            "progress_row": difference.id is not None,
            "found": to_plain(difference.found),
            "recounted": to_plain(difference.recounted),
            "lessons_before_reset": difference.lessons_before_reset,
            "announce": difference.announce,
            "repaired": difference.repaired,
        }
    )


def to_plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def format_value(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%fZ}"
    return "none" if value is None else escape(str(value))
