"""Defines the command `learners describe`: says how to address learners."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from events.learners import LearnerDescribed
from events.producer import PublishFailed
from events.publisher import LearnerPublisher, Receipt
from worker.cli.options import Group, WithExamples
from worker.cli.output import say
from worker.errors import KafkaUnavailable, ProgressError
from worker.plain_text import escape
from worker.settings import Settings, settings

AT_ONCE = 1000
MOST_SHOWN = 20  # mistakes
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(
    cls=Group,
    short_help="Says how to address learners.",
    epilog="course-progress learners describe --user 0190a6e2-0000-7000-8000-000000000001 --name 'Ada Lovelace'\n"
    "course-progress learners describe learners.csv",
)
def learners() -> None:
    """Says how to address learners: certificates bear their names, and their days begin in their time zones."""


@learners.command(
    cls=WithExamples,
    short_help="Describes a learner, or all learners of a file.",
    epilog="course-progress learners describe --user 0190a6e2-0000-7000-8000-000000000001 \\\n"
    "    --name 'Ada Lovelace' --locale en-GB --timezone Europe/London --mail milestones,reminders\n"
    "course-progress learners describe learners.csv",
)
@click.argument("path", metavar="[FILE]", type=FILE, required=False)
@click.option("--user", "user_id", type=click.UUID, help="The learner.")
@click.option("--name", help="As it stands on a certificate, 1 to 200 characters.")
@click.option("--email", help="Where mail goes.")
@click.option("--locale", help="A language tag, such as pt-BR.")
@click.option("--timezone", help="In which the learner's days begin, such as Europe/Berlin.")
@click.option("--mail", help="To what mail the learner has agreed: milestones, reminders, or both with a comma.")
def describe(path: Path | None, user_id: UUID | None, **said: str | None) -> None:
    """Says how to address one learner, or each learner of a FILE.

    It replaces what was said before: what is left out is not known any more. A FILE has one JSON object per line, or
    it is CSV whose first line names the columns: user_id, name, email, locale, timezone, mail. If any line is wrong,
    nothing is published.
    """
    given = {name: value for name, value in said.items() if value is not None}
    if path is not None and (user_id is not None or given):
        raise click.UsageError("a FILE says everything: give no option beside it.")
    if path is not None:
        require_right(path)
        say(f"published {asyncio.run(publish_file(settings(), path)):,} descriptions")
    elif user_id is not None:
        receipt = asyncio.run(publish_one(settings(), build_event(user_id, given)))
        say(f"{receipt.topic} partition {receipt.partition} offset {receipt.offset} id {receipt.event_id}")
    else:
        raise click.UsageError("name the learner by --user, or give a FILE.")


def build_event(user_id: UUID, given: dict[str, str]) -> LearnerDescribed:
    """Builds the event from the options. Raises UsageError, which names the option that is wrong."""
    from worker.cli.learner_file import read_consent
    from worker.learners.descriptions import BadDescription, build_description

    try:
        mail: dict[str, Any] = {"mail": read_consent(given["mail"])} if "mail" in given else {}
        return build_description({"user_id": user_id, **given, **mail})
    except BadDescription as error:
        raise click.UsageError(f"--{error.field}: {error.why}.") from None


def require_right(path: Path) -> None:
    """Raises ProgressError if any line of the file is wrong, and prints the first of these."""
    from worker.cli.learner_file import read_descriptions

    wrong = 0
    for found in read_descriptions(path, "checking"):
        if isinstance(found, str):
            wrong += 1
            if wrong <= MOST_SHOWN:
                say(escape(f"{path}: {found}"), err=True)
    if wrong:
        raise ProgressError(f"{path}: {wrong:,} lines are wrong, and nothing is published")


def open_publisher(settings: Settings) -> LearnerPublisher:
    from worker.kafka.client import client_arguments

    return LearnerPublisher(
        **client_arguments(settings), topic=settings.learners_topic, source="command-line", timeout_s=10
    )


async def publish_one(settings: Settings, event: LearnerDescribed) -> Receipt:
    """Publishes the description, which is durable on return. Raises PublishFailed."""
    async with open_publisher(settings) as publisher:
        return await publisher.publish(event)


async def publish_file(settings: Settings, path: Path) -> int:
    """Publishes every description of the file, all of them durable on return, and returns how many.

    Raises KafkaUnavailable, with how many were published: repeating it changes nothing.
    """
    from worker.cli.learner_file import read_descriptions

    published = 0
    found = read_descriptions(path, "publishing")
    try:
        async with open_publisher(settings) as publisher:
            while batch := list(islice(right(found), AT_ONCE)):
                published += len(await publisher.publish_many((event, datetime.now(UTC)) for event in batch))
    except PublishFailed as error:
        raise KafkaUnavailable(f"{error} ({published:,} are published; run it again to publish the rest)") from error
    return published


def right(found: Iterator[LearnerDescribed | str]) -> Iterator[LearnerDescribed]:
    """Yields the descriptions. Raises ProgressError for a line that has become wrong since it was checked."""
    for each in found:
        if isinstance(each, str):
            raise ProgressError(f"the file has changed meanwhile: {each}")
        yield each
