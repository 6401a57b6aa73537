"""Defines the command `course-progress stack`."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from worker.cli.options import WithExamples
from worker.cli.output import say
from worker.settings import Settings


@click.command(
    cls=WithExamples,
    short_help="Starts a throw-away broker and database.",
    context_settings={"ignore_unknown_options": True},
    epilog="course-progress stack\ncourse-progress stack -- pytest tests\ncourse-progress stack -- bash",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def stack(command: tuple[str, ...]) -> None:
    """Starts a throw-away broker and database, and stops them when COMMAND ends or on Ctrl-C."""
    from worker.devstack import servers
    from worker.prepare import prepare

    with servers() as running:
        os.environ.update(running.environment)
        asyncio.run(prepare(Settings()))
        if command:
            sys.exit(run_command(command))
        with suppress(KeyboardInterrupt):
            for name, value in running.environment.items():
                say(f"export {name}={value}")
            say("broker and database are up; Ctrl-C stops them", err=True)
            while True:
                time.sleep(1)


def run_command(command: Sequence[str]) -> int:
    """Runs a command to its end, and passes SIGINT and SIGTERM on to it. Returns its status as a shell would."""
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _: Any) -> None:
        if child is None:
            early.append(number)
        elif not is_from_terminal(number):
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    try:
        child = subprocess.Popen(command)
    except OSError as error:
        say(f"course-progress: {command[0]}: {error.strerror}", err=True)
        return 127 if isinstance(error, FileNotFoundError) else 126
    for missed in early:
        child.send_signal(missed)
    status = None
    while status is None:  # a signal that comes right before one long wait would be handled only when that ends
        with suppress(subprocess.TimeoutExpired):
            status = child.wait(timeout=1)
    return status if status >= 0 else 128 - status


def is_from_terminal(number: int) -> bool:
    """Says whether the command got this signal already: Ctrl-C goes to every process in the terminal's foreground."""
    with suppress(OSError):  # no terminal
        return number == signal.SIGINT and os.tcgetpgrp(0) == os.getpgrp()
    return False
