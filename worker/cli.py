"""The command line, `course-progress`. Each command imports what it needs when it runs."""

import asyncio
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

try:
    import click
except ImportError:
    sys.exit("the command line needs the worker's dependencies: pip install 'course-progress[worker]'")

from worker.errors import ProgressError
from worker.settings import settings


class Command(click.Command):
    """A command whose examples stay as they are written."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            formatter.write("\nExample:\n" + "".join(f"  {line}\n" for line in self.epilog.splitlines()))


class Group(click.Group):
    command_class = Command
    group_class = type


@click.group(cls=Group)
@click.version_option(package_name="course-progress")
def cli() -> None:
    """How far every learner is in every course: events from Kafka, progress in PostgreSQL."""


def main() -> None:
    """Runs the command line. An error of ours is one line and exit code 1; Ctrl-C is 130."""
    from worker.stack import NoServer

    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (ProgressError, NoServer) as error:
        click.echo(f"course-progress: {error}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)


@cli.command(epilog="course-progress migrate")
def migrate() -> None:
    """Brings the database up to date."""
    from worker.migrate import migrate as apply

    for name in asyncio.run(apply(settings())):
        click.echo(f"applied {name}")


@cli.command(epilog="PROGRESS_TOPIC_PARTITIONS=24 course-progress topics")
def topics() -> None:
    """Creates the topics that are missing."""
    from worker.topics import create_missing

    for name in asyncio.run(create_missing(settings())):
        click.echo(f"created {name}")


@cli.command(epilog="course-progress worker\nPROGRESS_GROUP_INSTANCE_ID=worker-1 course-progress worker --until-idle")
@click.option(
    "--until-idle", is_flag=True, help="Exit 0 when all that was there at the start is applied and published."
)
def worker(until_idle: bool) -> None:
    """Runs one worker. Start more to scale; `faust -A worker.app worker` runs the same."""
    from worker.run import run

    sys.exit(run(settings(), until_idle=until_idle))


@cli.command(
    context_settings={"ignore_unknown_options": True},
    epilog="course-progress stack\ncourse-progress stack -- pytest tests",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def stack(command: tuple[str, ...]) -> None:
    """Starts a throw-away broker and database, for COMMAND or until Ctrl-C."""
    from worker.prepare import prepare
    from worker.settings import Settings
    from worker.stack import servers

    with servers() as running:
        os.environ.update(running.environment)
        asyncio.run(prepare(Settings()))
        if command:
            sys.exit(subprocess.call(command))
        for name, value in running.environment.items():
            click.echo(f"export {name}={value}")
        click.echo("up; Ctrl-C stops it", err=True)
        wait_for_signal()


def wait_for_signal() -> None:
    import signal

    signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
