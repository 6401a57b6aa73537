"""Keeps one worker running, as a supervisor does in production: a worker that is killed is started again."""

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

# The shell writes its process id before it becomes the worker, because `run_kept` only knows the keeper's.
COMMAND = ["sh", "-c", f"echo $$ > pid && exec {shlex.join([sys.executable, '-m', 'worker.cli', 'worker'])}"]
CHECK_WORKER_EVERY_S = 0.1
RESTART_AFTER_S = 0.5
SHOWN_S = 8.0


class Supervisor:
    """Runs `course-progress worker` in the environment of this process, and again whenever it ends."""

    def __init__(self, directory: Path) -> None:
        self.pid: int | None = None
        self.restarts = 0
        self._trouble = ""
        self._ended_at = 0.0
        self._directory = directory

    @property
    def trouble(self) -> str:
        """Says why a worker ended less than SHOWN_S ago; else empty."""
        return self._trouble if time.monotonic() - self._ended_at < SHOWN_S else ""

    async def run(self) -> None:
        """Runs workers until it is cancelled; then sends SIGTERM, and waits until the worker has drained."""
        while True:
            directory = self._directory / f"worker-{self.restarts}"
            os.mkdir(directory)
            with run_kept(COMMAND, directory) as worker:
                await self._watch(worker)
            self.restarts += 1
            await asyncio.sleep(RESTART_AFTER_S)

    async def _watch(self, worker: KeptCommand) -> None:
        while worker.keeper.poll() is None:
            self.pid = read_pid(worker.log.parent)
            await asyncio.sleep(CHECK_WORKER_EVERY_S)
        self._trouble = f"worker {self.pid} {describe_end(worker.keeper.returncode, worker.log)}"
        self._ended_at = time.monotonic()
        self.pid = None


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
