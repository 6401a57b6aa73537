"""Processes that start servers, and what these leave on a machine."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


@contextmanager
def starter(script: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process of its own, killed at the end."""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """Its next line. Blocks until there is one."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@dataclass(frozen=True)
class Traces:
    processes: frozenset[psutil.Process]
    directories: frozenset[Path]

    def gone(self) -> bool:
        return not any(map(alive, self.processes)) and not any(path.exists() for path in self.directories)


def traces_of(pid: int) -> Traces:
    """The processes under `pid` now, and the temporary directories that they name."""
    processes = psutil.Process(pid).children(recursive=True)
    commands = " ".join(word for process in processes for word in words(process))
    directories = re.findall(r"/[\w/]*/course-progress-\w+-\w+", commands)
    return Traces(frozenset(processes), frozenset(map(Path, directories)))


def words(process: psutil.Process) -> list[str]:
    """The command line; none of a process that has just ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # a zombie is one too
        return []


def alive(process: psutil.Process) -> bool:
    """An orphan whose new parent has not asked for its exit code is a zombie, and dead."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(condition: Callable[[], bool], *, within_s: float = 20) -> bool:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()
