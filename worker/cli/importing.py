"""Defines the command `import`: publishes what other systems recorded, as lesson events."""

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from worker.cli.options import Group
from worker.cli.output import say
from worker.errors import ProgressError
from worker.plain_text import escape, to_json
from worker.settings import settings

if TYPE_CHECKING:
    from worker.importers.report import ImportReport
    from worker.importers.run import Reader
    from worker.importers.spool import Spool
    from worker.importers.tally import Tally
    from worker.importers.totals import Known

Command = TypeVar("Command", bound=Callable[..., Any])
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
MEANINGS = ("completed", "uncompleted", "accessed", "ignored")


class NothingImported(ProgressError):
    """Says that an import published nothing, or that a part of its files is malformed."""


@click.group(
    "import",
    cls=Group,
    short_help="Publishes what other systems recorded.",
    epilog="course-progress import xapi statements.json.gz --dry-run\ncourse-progress import csv completions.csv",
)
def import_() -> None:
    """Publishes what other systems recorded, as lesson events (docs/adopting.md).

    Exit status 1: something was malformed, or nothing was imported. Importing again changes nothing.
    """


def with_options(command: Command) -> Command:
    """Adds the arguments and options that every format has."""
    options = (
        click.argument("files", metavar="FILE...", nargs=-1, required=True),
        click.option("--dry-run", is_flag=True, help="Say what there is and what it would do, and publish nothing."),
        click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object."),
        click.option("--lenient", is_flag=True, help="Exit 0 although something is malformed."),
        click.option(
            "--users",
            type=EXISTING,
            help="CSV with the columns id (theirs) and user_id (the website's), or home_page too.",
        ),
        click.option("--totals", multiple=True, metavar="COURSE=N", help="How many lessons a course has; repeatable."),
        click.option(
            "--catalog", multiple=True, type=EXISTING, help="A catalog file that says which lessons there are."
        ),
        click.option(
            "--derive-catalog",
            type=click.Path(path_type=Path),
            help="Write what the files say of courses as a catalog file.",
        ),
        click.option(
            "--total-lessons",
            type=click.IntRange(1, 10_000),
            help="How many lessons each course has, if nothing else says.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


SITE = click.option("--site", metavar="URL", help="The address of the system that gave the learners' ids.")
COLUMNS = click.option(
    "--columns", multiple=True, metavar="THEIRS=OURS", help="Names of columns, with commas between them; repeatable."
)


@import_.command(
    short_help="Publishes xAPI statements.",
    epilog="course-progress import xapi statements.json.gz --dry-run\n"
    "course-progress import xapi week1.jsonl week2.jsonl --totals https://lms.example/course/1=12",
)
@with_options
@click.option(
    "--course-from",
    default="type",
    metavar="type|parent|grouping|IRI",
    help="What the course is: by its type, the first parent, the first grouping, or one IRI for all.  [default: type]",
)
@click.option(
    "--verb", "verbs", multiple=True, metavar="IRI=MEANING", help=f"What a verb means: {', '.join(MEANINGS)}."
)
def xapi(course_from: str, verbs: tuple[str, ...], **options: Any) -> None:
    """Publishes xAPI statements.

    A FILE has statements one per line, in an array, as the answer of a record store, or wrapped by Learning Locker,
    MongoDB or Elasticsearch; plain or compressed (gzip, zstd, zip); `-` is standard input.
    """
    from worker.importers.xapi import XapiReader
    from worker.importers.xapi_verbs import strip_scheme

    if course_from not in ("type", "parent", "grouping") and ":" not in course_from:
        raise click.UsageError(f"--course-from {course_from!r} is neither type, parent, grouping nor an IRI.")
    own = {strip_scheme(verb): meaning for verb, meaning in parse_pairs("--verb", verbs, MEANINGS).items()}
    run(lambda spool: XapiReader(spool, course_from, own), "xapi", **options)


@import_.command(
    short_help="Publishes the rows of a table.",
    epilog="course-progress import csv completions.csv --dry-run\n"
    "course-progress import csv report.csv --columns Username=user,Course=course,Content=lesson,Finished=time",
)
@with_options
@COLUMNS
@SITE
def csv(columns: tuple[str, ...], site: str | None, **options: Any) -> None:
    """Publishes the rows of a table.

    The first line of a FILE names the columns: event (completed, uncompleted or accessed; without it all are
    completed), user, course, lesson, total, time, id. Other columns are ignored.
    """
    from worker.importers.tables import TableReader

    run(lambda _: TableReader(parse_columns(columns), site=site), "csv", **options)


@import_.command(short_help="Publishes JSON lines.", epilog="course-progress import jsonl completions.jsonl --dry-run")
@with_options
@COLUMNS
@SITE
def jsonl(columns: tuple[str, ...], site: str | None, **options: Any) -> None:
    """Publishes JSON lines: objects with the members event, user, course, lesson, total, time, id."""
    from worker.importers.tables import TableReader

    run(lambda _: TableReader(parse_columns(columns), as_json=True, site=site), "jsonl", **options)


@import_.command(
    short_help="Publishes Moodle's completions.",
    epilog="course-progress import moodle completions.csv --site https://moodle.example --dry-run",
)
@with_options
@COLUMNS
@SITE
@click.option(
    "--count-failed", is_flag=True, help="Count what was done and not passed (completionstate 3) as completed."
)
def moodle(columns: tuple[str, ...], site: str | None, count_failed: bool, **options: Any) -> None:
    """Publishes Moodle's completions: the CSV of the query in docs/adopting.md."""
    from worker.importers.moodle import MoodleReader

    run(lambda _: MoodleReader(parse_columns(columns), site, count_failed), "moodle", **options)


@import_.command(
    short_help="Publishes Open edX's completions.",
    epilog="course-progress import openedx blockcompletion.csv course_structure.json --dry-run",
)
@with_options
@COLUMNS
@SITE
def openedx(columns: tuple[str, ...], site: str | None, **options: Any) -> None:
    """Publishes Open edX's completions: the table completion_blockcompletion as CSV, or tracking logs.

    A FILE may also be the structure of a course, in JSON, which says its lessons, their order and titles.
    """
    from worker.importers.openedx import OpenEdxReader

    run(lambda _: OpenEdxReader(parse_columns(columns), site), "openedx", **options)


def parse_pairs(option: str, texts: tuple[str, ...], allowed: tuple[str, ...]) -> dict[str, str]:
    """Reads `a=b`. Raises UsageError, also for a right side that is not allowed."""
    found = {}
    for text in texts:
        left, _, right = text.rpartition("=")
        if not left or right.strip() not in allowed:
            raise click.UsageError(f"{option} {text!r}: what stands behind = is one of {', '.join(allowed)}.")
        found[left.strip()] = right.strip()
    return found


def parse_columns(texts: tuple[str, ...]) -> dict[str, str]:
    """Reads which of our columns theirs are. Raises UsageError."""
    from worker.importers.moodle import NEEDED as OF_MOODLE
    from worker.importers.openedx import NEEDED as OF_OPENEDX
    from worker.importers.tables import COLUMNS as OURS

    ours = (*OURS, *OF_MOODLE, "useridnumber", "tracked_modules", *OF_OPENEDX)
    pairs = tuple(pair for text in texts for pair in text.split(","))
    return {theirs.lower(): name for theirs, name in parse_pairs("--columns", pairs, ours).items()}


def run(make_reader: "Callable[[Spool], Reader]", source: str, **options: Any) -> None:
    """Imports, and says what was done. Raises ProgressError where the exit status is 1."""
    from worker.importers.spool import open_spool
    from worker.importers.tally import Tally

    tally = Tally(partial(say, err=True))
    with open_spool() as spool:
        try:
            import_files(make_reader(spool), spool, tally, source, **options)
        except KeyboardInterrupt:
            again = "; run it again to publish the rest: what was published changes nothing" if tally.published else ""
            say(f"interrupted: published {tally.published:,} events{again}", err=True)
            raise


def import_files(
    reader: "Reader", spool: "Spool", tally: "Tally", source: str, files: tuple[str, ...], lenient: bool, **options: Any
) -> None:
    """Reads, reports and publishes. Raises NothingImported, behind all output, where the exit status is 1."""
    from worker.importers.identity import Identities, read_users
    from worker.importers.report import build_report
    from worker.importers.run import publish, read_files
    from worker.importers.totals import learn_published

    known = know(options)
    identities = Identities(read_users(options["users"]) if options["users"] else None)
    read_files(files, reader, identities, spool, tally)
    known = asyncio.run(learn_published(settings(), list_course_ids(spool), known))
    report, totals = build_report(spool, known, tally, reader.warnings)
    left_out = derive(spool, options["derive_catalog"], known)
    if not options["dry_run"] and report.count:
        asyncio.run(publish(settings(), spool, totals, source, tally))
    tell(report, left_out, tally, options["dry_run"], options["as_json"])
    if not report.count and not options["derive_catalog"]:
        raise NothingImported("nothing was imported: no line of the files says what a learner did in a course")
    if tally.malformed and not lenient:
        raise NothingImported(f"{tally.malformed:,} malformed lines were left out (--lenient: exit 0 all the same)")


def know(options: dict[str, Any]) -> "Known":
    """Reads what the options say of totals. Raises UsageError, or ProgressError for a file."""
    from worker.courses.catalog_file import read_versions
    from worker.importers.totals import Known, parse_totals, require_file

    try:
        given = parse_totals(options["totals"])
    except ValueError as error:
        raise click.UsageError(f"--totals: {error}.") from None
    versions = [version for path in options["catalog"] for version in read_versions(path)]
    return Known(catalog=require_file(versions), given=given, every=options["total_lessons"])


def list_course_ids(spool: "Spool") -> list[Any]:
    from worker.importers.derive import list_courses
    from worker.importers.identity import make_uuid

    return [make_uuid(course) for course in list_courses(spool)]


def derive(spool: "Spool", path: Path | None, known: "Known") -> list[str]:
    from worker.importers.derive import write_catalog

    return write_catalog(spool, path, known.published) if path else []


def tell(report: "ImportReport", left_out: list[str], tally: "Tally", dry_run: bool, as_json: bool) -> None:
    """Prints the report, all of it for a dry run or as JSON, and notes on standard error."""
    from worker.importers.report import format_table, to_dict

    for warning in (*report.warnings, *left_out):
        say(escape(f"note: {warning}"), err=True)
    if as_json:
        say(to_json(to_dict(report, None if dry_run else tally.published)))
        return
    if dry_run:
        say(format_table(report, shutil.get_terminal_size((120, 40)).columns))
    done = f"would publish {report.count:,}" if dry_run else f"published {tally.published:,}"
    say(f"{done}; {tally.format()}")
