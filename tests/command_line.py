"""Runs `course-progress` in a process of its own, and lists its commands."""

import os
import subprocess
import sys
from collections.abc import Iterator

import click

USER, COURSE = "0190a6e2-0000-7000-8000-000000000001", "0190a6e2-0000-7000-8000-00000000000a"
NOWHERE = {"PROGRESS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "PROGRESS_DATABASE_URL": "postgresql://127.0.0.1:1/none"}
PUBLISH = ["publish", "LessonCompleted", "--user", USER, "--course", COURSE]


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "worker.cli", *arguments],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """Runs the command to its end. Returns exit status, standard output and standard error."""
    process = start(*arguments, **variables)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors
