"""Runs the command line, `course-progress`. Each command imports its libraries only when it runs."""

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
from worker.cli.advise import advise
from worker.cli.api import api
from worker.cli.badges import badges
from worker.cli.catalog import catalog
from worker.cli.certificate_key import key
from worker.cli.certificate_preview import preview
from worker.cli.certificates import certificates
from worker.cli.deadletters import deadletters
from worker.cli.effects import effects
from worker.cli.events import publish, watch
from worker.cli.explain import explain
from worker.cli.export import export
from worker.cli.importing import import_
from worker.cli.learners import show
from worker.cli.learners_describe import learners
from worker.cli.options import Group
from worker.cli.output import say
from worker.cli.rewind import rewind
from worker.cli.servers import stack
from worker.cli.verify import verify
from worker.cli.waivers import unwaive, waive
from worker.errors import ProgressError, SetupError
from worker.plain_text import escape
from worker.settings import Settings, settings


@click.group(cls=Group, epilog="course-progress demo\ncourse-progress COMMAND --help")
@click.version_option(package_name="course-progress")
def cli() -> None:
    """Keeps how far every learner is in every course: events from Kafka, progress in PostgreSQL."""


COMMANDS = (
    advise,
    api,
    badges,
    catalog,
    certificates,
    deadletters,
    effects,
    explain,
    export,
    import_,
    learners,
    publish,
    rewind,
    show,
    stack,
    unwaive,
    verify,
    waive,
    watch,
)
for command in COMMANDS:
    cli.add_command(command)
for command in (key, preview):
    certificates.add_command(command)


def main() -> None:
    """Runs the command line, and exits with a status.

    0: success. 1: an error, which one line explains. 2: a wrong command line. 130: interrupted by Ctrl-C or SIGTERM.
    """
    from aiokafka.errors import KafkaError

    from worker.devstack import NoServer

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # errors that matter are raised
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what a script starts with `&`
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        cli(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "course-progress"
        say(f"{command}: {error.format_message()} (see {command} --help)", err=True)
        sys.exit(error.exit_code)
    except ProgressError as error:
        fail(str(error))
    except NoServer as error:
        say(f"course-progress: {error}", err=True)  # several lines, all of them ours
        sys.exit(1)
    except PublishFailed as error:
        fail(explain_refusal(error) or str(error))
    except KafkaError as error:
        fail(explain_refusal(error) or f"Kafka: {error!r}; see PROGRESS_KAFKA_BOOTSTRAP_SERVERS")
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        fail("; ".join(f"PROGRESS_{p['loc'][0]}".upper() + f": {p['msg']}" for p in error.errors()))
    except BrokenPipeError:  # the reader of our output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)


def fail(reason: str) -> NoReturn:
    """Prints the reason in one line, and exits with status 1."""
    say(f"course-progress: {escape(reason)}", err=True)
    sys.exit(1)


def explain_refusal(error: Exception) -> str | None:
    """Explains why Kafka refuses us; None if it does not.

    aiokafka only logs why a connection is refused, so a connection of our own asks Kafka.
    """
    from worker.kafka.client import client_arguments
    from worker.kafka.failures import explain
    from worker.kafka.permissions import require_access

    problem: ProgressError = explain("Kafka", error)
    if not isinstance(problem, SetupError):
        try:
            asyncio.run(require_access(client_arguments(settings()), {}))
        except ProgressError as reason:
            problem = reason
    return str(problem) if isinstance(problem, SetupError) else None


@cli.command(epilog="course-progress migrate")
def migrate() -> None:
    """Applies the migrations that the database lacks."""
    from worker.postgres.migrate import migrate as apply

    for name in asyncio.run(apply(settings())):
        say(f"applied {name}")


@cli.command(epilog="PROGRESS_TOPIC_PARTITIONS=24 course-progress topics")
def topics() -> None:
    """Creates the topics that are missing."""
    from worker.kafka.topics import create_missing

    for name in asyncio.run(create_missing(settings())):
        say(f"created {name}")


@cli.command(epilog="course-progress worker\nPROGRESS_GROUP_INSTANCE_ID=worker-1 course-progress worker --until-idle")
@click.option(
    "--until-idle", is_flag=True, help="Exit 0 when everything that was there at the start is applied and published."
)
def worker(until_idle: bool) -> None:
    """Runs one worker. Start more to scale; `faust -A worker.app worker` runs the same worker, with Faust's logs."""
    from worker.cli.worker import run

    sys.exit(run(settings(), until_idle=until_idle))


@cli.command(
    epilog="course-progress demo\ncourse-progress demo --learners 1000\ncourse-progress demo --duration 20 --json"
)
@click.option(
    "--learners", type=click.IntRange(min=1), default=300, show_default=True, help="How many learners study at once."
)
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop after SECONDS, compare the database with a model of all events published, and exit 1 if it differs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def demo(learners: int, duration_s: float | None, as_json: bool) -> None:
    """Runs the main job with simulated learners.

    Runs a worker, a certificate service and pages, too, and draws them all. It starts a broker and a database of its
    own. If PROGRESS_KAFKA_BOOTSTRAP_SERVERS or PROGRESS_DATABASE_URL is set, it uses those servers instead, and writes
    its learners and dead letters there.
    """
    from worker.demo.run import run

    try:
        status = run(learners=learners, duration_s=duration_s, as_json=as_json)
    except KeyboardInterrupt:  # before the demo began, or a second Ctrl-C
        status = 130 if duration_s else 0
    sys.exit(status)
