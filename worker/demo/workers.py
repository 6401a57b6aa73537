"""Keeps one worker running, as a supervisor does in production: kill it and see."""

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

# The shell tells its process id before it becomes the worker: `kept` itself only knows the keeper's.
COMMAND = ["sh", "-c", f"echo $$ > pid && exec {shlex.join([sys.executable, '-m', 'worker.cli', 'worker'])}"]
CHECK_WORKER_EVERY_S = 0.1
RESTART_AFTER_S = 0.5
SHOWN_S = 8.0


class Supervisor:
    """Runs `course-progress worker` in the environment of this process, again whenever it ends."""

    def __init__(self, directory: Path) -> None:
        self.pid: int | None = None
        self.restarts = 0
        self._trouble = ""
        self._ended_at = 0.0
        self._directory = directory

    @property
    def trouble(self) -> str:
        """Why a worker ended a moment ago, or nothing."""
        return self._trouble if time.monotonic() - self._ended_at < SHOWN_S else ""

    async def run(self) -> None:
        """Until it is cancelled: then the worker gets SIGTERM and drains, which is waited for."""
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
    """None when it is not written yet."""
    with suppress(FileNotFoundError, ValueError):
        return int((directory / "pid").read_text())
    return None


def describe_end(status: int, log: Path) -> str:
    """By which signal, or with which last words. A signal's status is negative, and the keeper's is modulo 256."""
    number = -status % 256
    if number in set(signal.Signals):
        return f"was killed by {signal.Signals(number).name}"
    return f"exited with {status}: {read_last_line(log)}"


def read_last_line(log: Path) -> str:
    """What a worker logged last, in short."""
    line = (log.read_text(errors="replace").splitlines() or [""])[-1]
    with suppress(ValueError, KeyError, TypeError):
        entry = json.loads(line)
        return f"{entry['event']} {entry.get('reason', '')}".strip()
    return line
