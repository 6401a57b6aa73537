"""Defines the command `course-progress advise`."""

import asyncio
import sys

import click

from worker.cli.options import WithExamples
from worker.cli.output import say
from worker.errors import ProgressError
from worker.operations.advice import Advice
from worker.operations.lag_history import LONGEST_RATE_S, RATE_S
from worker.plain_text import escape, to_json
from worker.settings import Settings, settings

LOOK_EVERY_S = 0.5
WITHOUT_WHICH = ("lesson_events", "stored", "group", "statuses")  # parts of a snapshot
TOO_FEW, ERROR = 1, 3  # exit statuses; 2 is a wrong command line


class NotKnown(ProgressError):
    """Kafka or PostgreSQL does not say what the advice needs."""


@click.command(
    cls=WithExamples,
    short_help="Says how many workers should run; exits 1 when there are too few.",
    epilog="course-progress advise\n"
    "course-progress advise --json | jq .workers\n"
    "course-progress advise > /dev/null || docker compose up --detach --no-recreate --scale worker=4",
)
@click.option("--json", "as_json", is_flag=True, help="Print the advice as one JSON object.")
def advise(as_json: bool) -> None:
    """Says how many workers keep up with the events that come in, and work off what waits within ten minutes.

    Watches for ten seconds. Exits 0 if as many run, or if more would not help; 1 if too few run; 3 if it is not known.
    """
    try:
        advice = asyncio.run(watch(settings()))
    except ProgressError as error:
        say(f"course-progress: {escape(str(error))}", err=True)
        sys.exit(ERROR)
    fields = {name: getattr(advice, name) for name in ("workers", "running", "needed", "too_few", "sentence")}
    say(to_json(fields) if as_json else escape(advice.sentence))
    sys.exit(TOO_FEW if advice.too_few else 0)


async def watch(settings: Settings, for_s: float = RATE_S) -> Advice:
    """Watches for so many seconds, and returns the advice. Raises NotKnown when a server does not answer."""
    from worker.operations.watch import Operations

    async with Operations(settings) as operations:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            snapshot = await operations.snapshot()
            watched_s = loop.time() - began
            known = snapshot.incoming_per_s is not None or snapshot.missing or watched_s > LONGEST_RATE_S
            if known and watched_s >= for_s:
                break
            await asyncio.sleep(LOOK_EVERY_S)
    if unknown := {snapshot.missing[part] for part in WITHOUT_WHICH if part in snapshot.missing}:
        raise NotKnown("; ".join(sorted(unknown)))
    return snapshot.advice
