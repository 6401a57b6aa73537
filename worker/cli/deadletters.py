"""Defines the commands `course-progress deadletters …`. Each imports its libraries only when it runs."""

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from events.kinds import Kind
from worker.cli.options import Group, Moment
from worker.cli.output import say
from worker.errors import ProgressError
from worker.plain_text import escape, to_json
from worker.settings import settings

if TYPE_CHECKING:
    from worker.deadletters.letter import Letter, Position, Resolution
    from worker.deadletters.selection import Selection
    from worker.deadletters.topic import Advance
    from worker.terminal.deadletters import NewestRows

Command = TypeVar("Command", bound=Callable[..., Any])

AGO = re.compile(r"([0-9]{1,4})(m|h|d)")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
ROWS_SHOWN = 100
NONE_OPEN = "no open dead letter matches"


class MomentOrAgo(Moment):
    """Reads a date and time, or how long ago it was: 30m, 2h, 7d."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        ago = AGO.fullmatch(value) if isinstance(value, str) else None
        if ago:
            return datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        return super().convert(value, param, ctx)


class PositionType(click.ParamType):
    """Reads PARTITION:OFFSET, a position on the dead letter topic."""

    name = "position"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Position":
        from worker.deadletters.letter import Position

        try:
            return value if isinstance(value, Position) else Position.parse(value)
        except ValueError as error:
            self.fail(f"{error}: `list` shows positions", param, ctx)


KIND = click.Choice([kind.value for kind in Kind])
FILTERS = (
    click.option("--kind", "kinds", type=KIND, multiple=True, help="Only of this kind; may be given several times."),
    click.option("--reason", default="", metavar="TEXT", help="Only where the reason contains TEXT, in any case."),
    click.option("--type", "types", multiple=True, metavar="TYPE", help="Only this type, such as LessonCompleted."),
    click.option("--since", type=MomentOrAgo(), help="Only those rejected since then: a time, or 30m, 2h, 7d ago."),
    click.option("--until", type=MomentOrAgo(), help="Only those rejected before then: a time, or 30m, 2h, 7d ago."),
)
POSITIONS = click.argument("positions", nargs=-1, type=PositionType(), metavar="[POSITION]...")
LIMIT = click.option("--limit", type=click.IntRange(min=1), metavar="NUMBER", help="At most NUMBER dead letters.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Print what the command would do, and write nothing.")
YES = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def add_filters(command: Command) -> Command:
    """Adds the options that `build_selection` takes as conditions."""
    for option in reversed(FILTERS):
        command = option(command)
    return command


def build_selection(positions: "tuple[Position, ...]" = (), **conditions: Any) -> "Selection":
    """Builds the selection from a command's arguments; `conditions` are the values of FILTERS."""
    from worker.deadletters.selection import Selection

    return Selection(positions=frozenset(positions), **conditions)


@contextmanager
def show_bar() -> "Iterator[Advance]":
    """Shows a progress bar on standard error, if that is a terminal; the bar is gone when the block ends."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    hidden = not sys.stderr.isatty()
    tasks: dict[str, TaskID] = {}
    with Progress(
        console=Console(stderr=True), transient=True, disable=hidden, redirect_stdout=False, redirect_stderr=False
    ) as progress:

        def advance(doing: str, passed: int, total: int) -> None:
            if doing not in tasks:
                tasks[doing] = progress.add_task(doing)
            progress.update(tasks[doing], completed=passed, total=total, visible=passed < total)

        yield advance


@click.group(
    cls=Group,
    short_help="Lists, replays and discards rejected records.",
    epilog="course-progress deadletters list --since 2h\ncourse-progress deadletters replay --dry-run",
)
def deadletters() -> None:
    """Lists the records that could never be applied, replays them when their cause is repaired, or discards them.

    A dead letter is open until it is replayed or discarded. The topic keeps a record of that, too.
    """


@deadletters.command(
    "list",
    epilog="course-progress deadletters list --all --count\n"
    "course-progress deadletters list --kind schema --since 2h --reason total_lessons\n"
    "course-progress deadletters list --json | jq -r .position",
)
@add_filters
@LIMIT
@click.option("--all", "resolved_too", is_flag=True, help="Replayed and discarded ones too, and each copy.")
@click.option("--count", "only_count", is_flag=True, help="Print only the number of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line; with --count a single one.")
def list_(limit: int | None, resolved_too: bool, only_count: bool, as_json: bool, **conditions: Any) -> None:
    """Lists open dead letters, the latest last. Copies of one letter are listed once.

    Lists the latest 100, or as many as --limit says; with --json all of them.
    """
    from worker.terminal import deadletters as letter_view

    newest = letter_view.NewestRows(limit or (None if as_json else ROWS_SHOWN))
    kinds = asyncio.run(survey(build_selection(**conditions), resolved_too, newest))
    if not kinds:
        say("no dead letters", err=True)
    if as_json:
        say(to_json(kinds) if only_count else letter_view.rows_to_json(newest), nl=only_count or bool(kinds))
    elif kinds:
        if not only_count:
            letter_view.print_table(newest)
        say(letter_view.format_counts(kinds, "in all" if resolved_too else "open"))


async def survey(selection: "Selection", resolved_too: bool, newest: "NewestRows") -> Counter[Kind]:
    """Counts the selected letters by kind, and adds a row for each to `newest`."""
    from worker.deadletters.row import Row
    from worker.deadletters.topic import open_topic

    kinds: Counter[Kind] = Counter()
    with show_bar() as advance:
        async with open_topic(settings(), advance) as box:
            ledger = await box.read_ledger()
            letters = box.read_each_letter(selection) if resolved_too else box.read_open_letters(ledger, selection)
            async for letter, copies in letters:
                kinds[letter.kind] += 1
                newest.add(Row.from_letter(letter, copies, ledger.resolutions.get(letter.position)))
    return kinds


@deadletters.command(
    short_help="Shows one dead letter whole.",
    epilog="course-progress deadletters show 3:17\ncourse-progress deadletters show 3:17 --raw > value.bin",
)
@click.argument("position", type=PositionType())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; bytes that are not UTF-8 in base64.")
@click.option("--raw", is_flag=True, help="Write the value alone, byte for byte.")
def show(position: "Position", as_json: bool, raw: bool) -> None:
    """Shows the whole dead letter at POSITION, a position from `list`: its headers, key and value."""
    from worker.terminal import deadletters as letter_view

    letter, resolution = asyncio.run(read_letter(position))
    if raw:
        if sys.stdout.isatty():
            raise click.UsageError("--raw writes a stranger's bytes as they are: send them to a file or a program.")
        sys.stdout.buffer.write(letter.record.value or b"")
        if letter.truncated:
            say(escape(letter_view.format_truncation(letter)), err=True)
    else:
        say((letter_view.letter_to_json if as_json else letter_view.format_letter)(letter, resolution))


async def read_letter(position: "Position") -> "tuple[Letter, Resolution | None]":
    """Reads the letter at a position, and its resolution if it has one. Raises ProgressError if no letter is there."""
    from worker.deadletters.topic import open_topic

    with show_bar() as advance:
        async with open_topic(settings(), advance) as box:
            ledger = await box.read_ledger()
            async for letter in box.read_letters(build_selection((position,))):
                return letter, ledger.resolutions.get(position)
    raise ProgressError(f"no dead letter at {position} of {settings().dead_letter_topic}: see `deadletters list --all`")


@deadletters.command(
    short_help="Publishes again the dead letters that would be applied today.",
    epilog="course-progress deadletters replay --dry-run\n"
    "course-progress deadletters replay --kind refused --limit 1\n"
    "course-progress deadletters replay 3:17 4:2",
)
@POSITIONS
@add_filters
@LIMIT
@DRY_RUN
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), default=100, show_default=True, help="Events per second."
)
@click.option("--to", metavar="TOPIC", help="Publish all to TOPIC, instead of each to the topic it came from.")
def replay(
    positions: "tuple[Position, ...]", limit: int | None, dry_run: bool, rate: float, to: str | None, **conditions: Any
) -> None:
    """Publishes dead letters again: those at POSITION, those that match the options, or all.

    Each goes to the topic it came from. A letter that would be rejected again stays open, and so does one from a topic
    that no worker reads, unless --to names a topic. An event that the database refused is replayed only by POSITION or
    with --kind refused, because only the database can tell whether it would be refused again. A truncated letter stays
    open, because a part of its record is missing. Replaying twice is safe, and so is stopping a replay. Run it while a
    worker runs.
    """
    from worker.deadletters.replay import replay as replay_

    selection = build_selection(positions, **conditions)
    with show_bar() as advance:
        tally = asyncio.run(
            replay_(settings(), selection, to=to, rate=rate, limit=limit, dry_run=dry_run, advance=advance)
        )
    if not tally.replayed and not tally.left:
        say(NONE_OPEN, err=True)
    say(f"{'would replay' if dry_run else 'replayed'} {tally.replayed:,}")
    for why, number in tally.left.most_common():
        say(f"left {number:,}: {escape(why)}")


@deadletters.command(
    short_help="Takes dead letters off the list.",
    epilog="course-progress deadletters discard --kind not-json --until 7d\n"
    "course-progress deadletters discard 3:17 --yes",
)
@POSITIONS
@add_filters
@LIMIT
@DRY_RUN
@YES
def discard(positions: "tuple[Position, ...]", limit: int | None, dry_run: bool, yes: bool, **conditions: Any) -> None:
    """Takes dead letters off the list: those at POSITION, or those that match the options.

    `list --all` still shows them.
    """
    from worker.deadletters.discard import discard as discard_
    from worker.deadletters.discard import find
    from worker.terminal.deadletters import format_counts

    if not positions and not any(conditions.values()):
        raise click.UsageError("Which dead letters? Give a POSITION, or an option such as --kind.")
    with show_bar() as advance:
        found = asyncio.run(find(settings(), build_selection(positions, **conditions), limit, advance))
    say(format_counts(found.kinds) if found.kinds else NONE_OPEN, err=True)
    if found.positions and not dry_run:
        if not yes:
            click.confirm("Discard them?", abort=True, err=True)
        asyncio.run(discard_(settings(), found.positions))
    say(f"{'would discard' if dry_run else 'discarded'} {found.kinds.total():,}")


@deadletters.command(
    short_help="Permanently deletes resolved dead letters.",
    epilog="course-progress deadletters truncate --yes",
)
@YES
def truncate(yes: bool) -> None:
    """Permanently deletes all records before each partition's first open dead letter.

    These are resolved dead letters, and the records of their resolutions.
    """
    if not yes:
        click.confirm("Delete resolved dead letters permanently?", abort=True, err=True)
    say(f"deleted {asyncio.run(truncate_topic()):,} records")


async def truncate_topic() -> int:
    """Deletes the records before each partition's first open letter; returns how many they were."""
    from worker.deadletters.topic import open_topic

    with show_bar() as advance:
        async with open_topic(settings(), advance) as box:
            return await box.truncate(await box.read_ledger())
