"""The command line, `course-progress`. Each command imports what it needs when it runs."""

import asyncio
import logging
import os
import signal
import sys
from typing import NoReturn

try:
    import click
except ImportError:
    sys.exit("the command line needs the worker's dependencies: pip install 'course-progress[worker]'")

from pydantic import ValidationError

from events import PublishFailed
from worker.cli.api import api
from worker.cli.deadletters import deadletters
from worker.cli.events import import_, publish, watch
from worker.cli.learners import show
from worker.cli.options import Group
from worker.cli.rewind import rewind
from worker.cli.servers import stack
from worker.cli.verify import verify
from worker.errors import ProgressError, SetupError
from worker.settings import Settings, settings


@click.group(cls=Group, epilog="course-progress demo\ncourse-progress COMMAND --help")
@click.version_option(package_name="course-progress")
def cli() -> None:
    """How far every learner is in every course: events from Kafka, progress in PostgreSQL."""


for command in (api, deadletters, import_, publish, rewind, show, stack, verify, watch):
    cli.add_command(command)


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
        fail(explain_refusal(error) or str(error))
    except KafkaError as error:
        fail(explain_refusal(error) or f"Kafka: {error!r}; see PROGRESS_KAFKA_BOOTSTRAP_SERVERS")
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


def explain_refusal(error: Exception) -> str | None:
    """Why Kafka refuses us, if it does. Of a connection aiokafka only logs it, so one of our own asks."""
    from worker.kafka.client import client
    from worker.kafka.failures import explain
    from worker.kafka.permissions import require_access

    problem: ProgressError = explain("Kafka", error)
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
