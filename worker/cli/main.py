"""The command line, `course-progress`. Each command imports what it needs when it runs."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID, uuid4

try:
    import click
except ImportError:
    sys.exit("the command line needs the worker's dependencies: pip install 'course-progress[worker]'")

from pydantic import ValidationError

from events import (
    LESSON_EVENTS,
    CourseEventSubscriber,
    LessonEvent,
    LessonEventPublisher,
    PublishFailed,
    Receipt,
)
from worker.cli.api import api
from worker.cli.deadletters import deadletters
from worker.cli.options import Group, Moment
from worker.cli.rewind import rewind
from worker.cli.verify import verify
from worker.errors import ProgressError, SetupError
from worker.settings import Settings, settings

if TYPE_CHECKING:
    from worker.learners.reads import CourseProgress


@click.group(cls=Group, epilog="course-progress demo\ncourse-progress COMMAND --help")
@click.version_option(package_name="course-progress")
def cli() -> None:
    """How far every learner is in every course: events from Kafka, progress in PostgreSQL."""


cli.add_command(api)
cli.add_command(deadletters)
cli.add_command(verify)
cli.add_command(rewind)


def main() -> None:
    """Runs the command line. Exit status: 0, 1 for an error (one line says which), 2 for a wrong command line, 130
    when it was interrupted, by Ctrl-C or SIGTERM.
    """
    from aiokafka.errors import KafkaError

    from worker.devstack import NoServer

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what matters comes as an exception
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a script's `&` has it ignored
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        cli(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "course-progress"
        click.echo(f"{command}: {error.format_message()} (see {command} --help)", err=True)
        sys.exit(error.exit_code)
    except (ProgressError, NoServer) as error:
        fail(str(error))
    except PublishFailed as error:
        fail(refusal(error) or str(error))
    except KafkaError as error:
        fail(refusal(error) or f"Kafka: {error!r}; see PROGRESS_KAFKA_BOOTSTRAP_SERVERS")
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        fail("; ".join(f"PROGRESS_{p['loc'][0]}".upper() + f": {p['msg']}" for p in error.errors()))
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)


def fail(reason: str) -> NoReturn:
    click.echo(f"course-progress: {reason}", err=True)
    sys.exit(1)


def refusal(error: Exception) -> str | None:
    """Why Kafka refuses us, if it does. Of a connection aiokafka only logs it, so one of our own asks."""
    from worker.kafka.client import client, failure
    from worker.kafka.permissions import require_access

    problem: ProgressError = failure("Kafka", error)
    if not isinstance(problem, SetupError):
        try:
            asyncio.run(require_access(client(settings()), {}))
        except ProgressError as reason:
            problem = reason
    return str(problem) if isinstance(problem, SetupError) else None


@cli.command(epilog="course-progress migrate")
def migrate() -> None:
    """Brings the database up to date."""
    from worker.postgres.migrate import migrate as apply

    for name in asyncio.run(apply(settings())):
        click.echo(f"applied {name}")


@cli.command(epilog="PROGRESS_TOPIC_PARTITIONS=24 course-progress topics")
def topics() -> None:
    """Creates the topics that are missing."""
    from worker.kafka.topics import create_missing

    for name in asyncio.run(create_missing(settings())):
        click.echo(f"created {name}")


@cli.command(epilog="course-progress worker\nPROGRESS_GROUP_INSTANCE_ID=worker-1 course-progress worker --until-idle")
@click.option(
    "--until-idle", is_flag=True, help="Exit 0 when all that was there at the start is applied and published."
)
def worker(until_idle: bool) -> None:
    """Runs one worker. Start more to scale; `faust -A worker.app worker` runs the same, with Faust's logs."""
    from worker.cli.worker import run

    sys.exit(run(settings(), until_idle=until_idle))


@cli.command(
    short_help="Starts a throw-away broker and database.",
    context_settings={"ignore_unknown_options": True},
    epilog="course-progress stack\ncourse-progress stack -- pytest tests\ncourse-progress stack -- bash",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def stack(command: tuple[str, ...]) -> None:
    """Starts a throw-away broker and database, for COMMAND or until Ctrl-C."""
    from worker.devstack import servers
    from worker.prepare import prepare

    with servers() as running:
        os.environ.update(running.environment)
        asyncio.run(prepare(Settings()))
        if command:
            sys.exit(status_of(command))
        with suppress(KeyboardInterrupt):
            for name, value in running.environment.items():
                click.echo(f"export {name}={value}")
            click.echo("up; Ctrl-C stops it", err=True)
            while True:
                time.sleep(1)


def status_of(command: Sequence[str]) -> int:
    """Runs a command to its end, whatever signals come: they are for the command. Its status, as a shell says it."""
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _: Any) -> None:
        if child is None:
            early.append(number)
        elif not from_terminal(number):
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    try:
        child = subprocess.Popen(command)
    except OSError as error:
        click.echo(f"course-progress: {command[0]}: {error.strerror}", err=True)
        return 127 if isinstance(error, FileNotFoundError) else 126
    for missed in early:
        child.send_signal(missed)
    status = None
    while status is None:  # one long wait would keep a signal that comes right before it until the command's end
        with suppress(subprocess.TimeoutExpired):
            status = child.wait(timeout=1)
    return status if status >= 0 else 128 - status


def from_terminal(number: int) -> bool:
    """Whether the command has this signal already: Ctrl-C goes to every process in the terminal's foreground."""
    with suppress(OSError):  # no terminal
        return number == signal.SIGINT and os.tcgetpgrp(0) == os.getpgrp()
    return False


@cli.command(
    epilog="course-progress demo\ncourse-progress demo --learners 1000\ncourse-progress demo --duration 20 --json"
)
@click.option("--learners", type=click.IntRange(min=1), default=300, show_default=True, help="How many study at once.")
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Then stop, compare the database with a model of all that was published, and exit 1 for any difference.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def demo(learners: int, duration_s: float | None, as_json: bool) -> None:
    """Simulated learners, a worker, a certificate service, and pages.

    They have a broker and a database of their own, or those that PROGRESS_KAFKA_BOOTSTRAP_SERVERS and
    PROGRESS_DATABASE_URL name: learners, dead letters and all.
    """
    from worker.demo.run import run

    try:
        status = run(learners=learners, duration_s=duration_s, as_json=as_json)
    except KeyboardInterrupt:  # before it began, or by somebody impatient
        status = 130 if duration_s else 0
    sys.exit(status)


@cli.group("import", epilog="course-progress import xapi statements.json.gz")
def import_() -> None:
    """Publishes what other systems have recorded as lesson events."""


@import_.command(
    epilog="course-progress import xapi statements.json.gz\n"
    "course-progress import xapi statements.jsonl --total-lessons 12"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--total-lessons",
    type=click.IntRange(1, 10_000),
    help="Lessons of each course; without it, as many as the file names for the course.",
)
def xapi(file: Path, total_lessons: int | None) -> None:
    """Publishes xAPI statements: JSON lines, gzip or not. Importing a file again changes nothing."""
    from worker.xapi import import_file

    count = asyncio.run(import_file(settings(), file, total_lessons, say=partial(click.echo, err=True)))
    skipped = ", ".join(f"{verb} {times:,}" for verb, times in count.skipped.most_common()) or "none"
    click.echo(f"published {count.published:,}; skipped: {skipped}; malformed lines: {count.malformed:,}")


@cli.command(
    epilog="""\
course-progress publish LessonCompleted --user 0190a6e2-0000-7000-8000-000000000001 \\
    --course 0190a6e2-0000-7000-8000-00000000000a --lesson intro --total-lessons 3"""
)
@click.argument("type_name", metavar="TYPE")
@click.option("--user", "user_id", type=click.UUID, required=True)
@click.option("--course", "course_id", type=click.UUID, required=True)
@click.option("--lesson", "lesson_id", help="1 to 255 characters.")
@click.option("--total-lessons", type=int, help="Lessons the course has.")
@click.option("--at", type=Moment(), help="When it happened, by default now.")
def publish(type_name: str, at: datetime | None, **data: Any) -> None:
    """Publishes one event. TYPE is LessonCompleted, LessonUncompleted, CourseAccessed or ProgressReset."""
    event = event_from(type_name, {name: value for name, value in data.items() if value is not None})
    receipt = asyncio.run(published(settings(), event, at))
    where = f"{receipt.topic} partition {receipt.partition} offset {receipt.offset}"
    click.echo(f"{where} id {receipt.event_id}")


def event_from(type_name: str, data: dict[str, Any]) -> LessonEvent:
    """Raises UsageError, in the words of the command line."""
    model = {name.lower(): model for name, model in LESSON_EVENTS.items()}.get(type_name.lower())
    if model is None:
        raise click.UsageError(f"TYPE is {type_name!r}, not one of {', '.join(LESSON_EVENTS)}.")
    options = {"lesson_id": "--lesson", "total_lessons": "--total-lessons"}
    for name in data.keys() - model.model_fields.keys():
        raise click.UsageError(f"{options[name]} has no meaning for {model.__name__}.")
    try:
        return model(**data)
    except ValidationError as error:
        problem = error.errors()[0]
        raise click.UsageError(f"{options[str(problem['loc'][0])]}: {problem['msg']}.") from None


async def published(settings: Settings, event: LessonEvent, at: datetime | None) -> Receipt:
    from worker.kafka.client import client

    topic = settings.lesson_events_topic
    async with LessonEventPublisher(**client(settings), topic=topic, source="command-line", timeout_s=10) as publisher:
        return await publisher.publish(event, occurred_at=at)


@cli.command(epilog="course-progress show --user 0190a6e2-0000-7000-8000-000000000001")
@click.option("--user", "user_id", type=click.UUID, required=True)
@click.option("--course", "course_id", type=click.UUID, help="This course alone.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array; with --course an object, or null.")
def show(user_id: UUID, course_id: UUID | None, as_json: bool) -> None:
    """How far a user is, the latest accessed course first."""
    from worker.terminal import progress as terminal

    found = asyncio.run(progress_of(settings(), user_id, course_id))
    if as_json:
        click.echo(terminal.as_json(found, one=course_id is not None))
    else:
        terminal.show(found)


async def progress_of(settings: Settings, user_id: UUID, course_id: UUID | None) -> "list[CourseProgress]":
    from worker.learners.service import ProgressService

    async with ProgressService(settings) as service:
        if course_id is None:
            return await service.get_user_progress(user_id)
        progress = await service.get_course_progress(user_id, course_id)
        return [progress] if progress else []


@cli.command(
    short_help="Follows course-events, one line per event.",
    epilog="course-progress watch\ncourse-progress watch --json | jq .user_id",
)
@click.option("--json", "as_json", is_flag=True, help="Each event as one JSON object.")
def watch(as_json: bool) -> None:
    """Follows course-events from the oldest on, one line per event, until Ctrl-C."""
    asyncio.run(follow(settings(), as_json))


async def follow(settings: Settings, as_json: bool) -> None:
    from worker.kafka.client import client
    from worker.terminal import progress as terminal

    topic = settings.course_events_topic
    async with CourseEventSubscriber(**client(settings), group_id=f"watch-{uuid4()}", topic=topic) as subscriber:
        async for received in subscriber:
            click.echo(terminal.event_json(received) if as_json else terminal.event_line(received))
