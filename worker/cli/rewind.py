"""Defines the command `course-progress rewind`."""

import asyncio
from typing import Any

import click

from worker.cli.options import Moment, WithExamples
from worker.cli.output import say
from worker.repair.rewind import Move, Target
from worker.repair.rewind import rewind as move
from worker.settings import settings


class TargetType(Moment):
    """Reads `earliest`, an offset, or a time."""

    name = "earliest|time|offset"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Target:  # type: ignore[override]
        if value == "earliest":
            return "earliest"
        return int(value) if str(value).isdecimal() else super().convert(value, param, ctx)


@click.command(
    cls=WithExamples,
    short_help="Makes the workers apply events again.",
    epilog="course-progress rewind --to earliest --dry-run\n"
    "course-progress rewind --to 2026-11-24T08:00:00Z\n"
    "course-progress rewind --to 4711 --partition 3 --skip",
)
@click.option(
    "--to",
    type=TargetType(),
    required=True,
    help="Where the workers go on; a time is the one at which Kafka stored an event.",
)
@click.option(
    "--partition",
    "partitions",
    type=click.IntRange(min=0),
    multiple=True,
    help="Only this partition; may be given several times.",
)
@click.option("--topic", help="The stream's topic, by default that of lesson events.")
@click.option("--group", help="The stream's consumer group, by default that of lesson events.")
@click.option("--skip", is_flag=True, help="Allow moving forward: the events in between are never applied.")
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing; workers may run.")
def rewind(
    to: Target, partitions: tuple[int, ...], topic: str | None, group: str | None, skip: bool, dry_run: bool
) -> None:
    """Makes the workers apply events again. Rows that are right stay as they are.

    Use it when a topic was recreated, or rows were lost. All workers must be stopped.
    """
    if isinstance(to, int) and len(partitions) != 1:
        raise click.UsageError("an offset counts in one partition: name it with --partition.")
    moves = move(settings(), to, partitions, topic=topic, group=group, skip=skip, dry_run=dry_run)
    for moved in asyncio.run(moves):
        say(("would move " if dry_run else "") + format_move(moved))


def format_move(move: Move) -> str:
    """Formats one partition's move as a line: stored offset → new offset, and how many records are read again."""
    stored = "nothing stored" if move.stored is None else str(move.stored)
    skipped = f", {move.skipped} skipped" if move.skipped else ""
    return f"{move.tp.topic}[{move.tp.partition}]: {stored} → {move.to}, {move.end - move.to} to read{skipped}"
