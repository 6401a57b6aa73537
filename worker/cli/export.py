"""Defines the commands `course-progress export …`."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, TypeVar
from uuid import UUID

import click

from worker.cli.options import Group
from worker.cli.output import say
from worker.errors import ProgressError
from worker.plain_text import escape
from worker.settings import Settings, settings

SAY_EVERY_S = 2.0
ERROR = 3  # exit status; 2 is a wrong command line
Command = TypeVar("Command", bound=Any)

OPTIONS = (
    click.option(
        "--format",
        "format",
        type=click.Choice(["csv", "jsonl", "xapi"]),
        default="csv",
        show_default=True,
        help="A table, a JSON object per line, or an xAPI statement per line.",
    ),
    click.option("--user", "user_id", type=click.UUID, help="Only this learner."),
    click.option("--course", "course_id", type=click.UUID, help="Only this course."),
    click.option("--site", metavar="URL", help="With xapi: the website whose accounts the learners are."),
    click.option(
        "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="The file; by default standard output."
    ),
)


def add_options(command: Command) -> Command:
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.group(cls=Group, epilog="course-progress export lessons --output lessons.csv")
def export() -> None:
    """Writes what is known to a file."""


@export.command(
    epilog="course-progress export progress --output progress.csv\n"
    "course-progress export progress --format jsonl --course 0190a6e2-0000-7000-8000-00000000000a | gzip > progress.gz"
)
@add_options
def progress(**options: Any) -> None:
    """Writes how far learners are in their courses.

    Writes a line per progress row, all as they are at one moment; workers may run.

    Exits 3 if it could not read the rows or write the file, which is then not there.
    """
    run("progress", options)


@export.command(
    epilog="course-progress export lessons --output lessons.csv\n"
    "course-progress export lessons --format xapi --site https://lms.example --output statements.jsonl\n"
    "course-progress import csv lessons.csv      # elsewhere: the same lessons, counts and dates"
)
@add_options
def lessons(**options: Any) -> None:
    """Writes what learners did.

    Writes a line per completion, un-completion, waiver and access that is kept, all at one moment; workers may run.

    `course-progress import` reads each format. Exits 3 if it could not read the rows or write the file, which is then
    not there.
    """
    run("lessons", options)


def run(what: Any, options: dict[str, Any]) -> None:
    if options["format"] == "xapi" and not options["site"]:
        raise click.UsageError("xAPI names the website whose accounts the learners are: add --site https://…")
    try:
        rows, lines = asyncio.run(write_file(settings(), what, **options))
    except ProgressError as error:
        say(f"course-progress: {escape(str(error))}", err=True)
        sys.exit(ERROR)
    except BrokenPipeError:  # whoever reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ERROR)
    except OSError as error:
        say(f"course-progress: cannot write {options['output'] or 'standard output'}: {error.strerror}", err=True)
        sys.exit(ERROR)
    say(f"{lines:,} lines of {rows:,} progress rows written", err=True)


async def write_file(
    settings: Settings,
    what: Any,
    format: Any,
    user_id: UUID | None,
    course_id: UUID | None,
    site: str | None,
    output: Path | None,
) -> tuple[int, int]:
    """Writes the file. Returns how many progress rows it is about, and how many lines it has.

    Raises ProgressError, or OSError of the file.
    """
    from worker.exports.export import Writer, open_snapshot, write_rows

    rows = lines = 0
    said = time.monotonic()
    with open_whole(output) as out:
        async with open_snapshot(settings) as connection:
            writer = Writer(out, what, format, site or "")
            async for written in write_rows(connection, writer, user_id, course_id):
                rows, lines = rows + 1, lines + written
                if time.monotonic() - said > SAY_EVERY_S:
                    said = time.monotonic()
                    say(f"{rows:,} progress rows written", err=True)
    return rows, lines


@contextmanager
def open_whole(path: Path | None) -> Iterator[TextIO]:
    """Opens a file that has its name when it is whole, and not before; standard output where there is no path."""
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
