"""Keeps one process of ours running, as a supervisor does in production: one that is killed is started again."""

import asyncio
import json
import os
import shlex
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from worker.devstack.process import KeptCommand, run_kept

CHECK_WORKER_EVERY_S = 0.1
RESTART_AFTER_S = 0.5
SHOWN_S = 8.0


class Supervisor:
    """Runs `course-progress COMMAND` in the environment of this process, and again whenever it ends."""

    def __init__(self, directory: Path, command: str = "worker") -> None:
        self._name = command
        self.pid: int | None = None
        self.restarts = 0
        self._trouble = ""
        self._ended_at = 0.0
        self._directory = directory

    @property
    def trouble(self) -> str:
        """Says why a process ended less than SHOWN_S ago; else empty."""
        return self._trouble if time.monotonic() - self._ended_at < SHOWN_S else ""

    async def run(self) -> None:
        """Runs processes until it is cancelled; then sends SIGTERM, and waits until the last has drained."""
        while True:
            directory = self._directory / f"{self._name}-{self.restarts}"
            os.mkdir(directory)
            with run_kept(build_command(self._name), directory) as worker:
                await self._watch(worker)
            self.restarts += 1
            await asyncio.sleep(RESTART_AFTER_S)

    async def _watch(self, worker: KeptCommand) -> None:
        while worker.keeper.poll() is None:
            self.pid = read_pid(worker.log.parent)
            await asyncio.sleep(CHECK_WORKER_EVERY_S)
        self._trouble = f"{self._name} {self.pid} {describe_end(worker.keeper.returncode, worker.log)}"
        self._ended_at = time.monotonic()
        self.pid = None


def build_command(command: str) -> list[str]:
    """Builds the command line. The shell writes its process id before it becomes the process, because `run_kept` only
    knows the keeper's."""
    own = [] if command == "worker" else ["env", "PROGRESS_HTTP_PORT=0"]  # the worker has the one that is set
    ours = shlex.join([*own, sys.executable, "-m", "worker.cli", command])
    return ["sh", "-c", f"echo $$ > pid && exec {ours}"]


def read_pid(directory: Path) -> int | None:
    """Reads the worker's process id; None if it is not written yet."""
    with suppress(FileNotFoundError, ValueError):
        return int((directory / "pid").read_text())
    return None


def describe_end(status: int, log: Path) -> str:
    """Says by which signal a worker ended, or with which status and last log line.

    A signal's status is negative; the keeper's is that, modulo 256.
    """
    number = -status % 256
    if number in set(signal.Signals):
        return f"was killed by {signal.Signals(number).name}"
    return f"exited with {status}: {read_last_line(log)}"


def read_last_line(log: Path) -> str:
    """Reads the last line of a worker's log, in short: the event and its reason."""
    line = (log.read_text(errors="replace").splitlines() or [""])[-1]
    with suppress(ValueError, KeyError, TypeError):
        entry = json.loads(line)
        return f"{entry['event']} {entry.get('reason', '')}".strip()
    return line
