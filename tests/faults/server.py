"""Runs one server process that may be killed, frozen and started again with its data."""

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from worker.devstack.process import KeptCommand, run_kept


class Server:
    """Runs a process that keeps its data while it is down. Its methods block until it is up, or gone."""

    def __init__(self, home: Path, first: str, again: str, ready: Callable[[], bool], user: str = "") -> None:
        self.home, self.user = home, user
        self._first, self._again, self._ready = first, again, ready
        self._starts = 0
        self._running = ExitStack()
        self._process: KeptCommand | None = None

    def start(self, before: str = "true") -> None:
        """Starts it, after the shell command `before`, such as an export."""
        self._run = self.home / f"run-{self._starts}"
        make_directory(self._run, self.user)
        command = self._again if self._starts else self._first
        self._starts += 1
        told = f"echo $$ > pid && {before} && {command}"
        self._process = self._running.enter_context(
            run_kept(["sh", "-c", told], self._run, stop=signal.SIGINT, user=self.user)
        )
        self._process.wait_until(self._ready)

    @property
    def pid(self) -> int:
        return int((self._run / "pid").read_text())

    @property
    def runs(self) -> bool:
        """Says whether its process runs: it may have ended by itself."""
        return self._process is not None and self._process.keeper.poll() is None

    @property
    def log(self) -> str:
        """Reads what it has said since its last start."""
        return (self._run / "log").read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.send(number)
        self.close()

    def close(self) -> None:
        self._running.close()


def make_directory(path: Path, user: str) -> None:
    path.mkdir()
    if user:
        subprocess.run(["chown", user, str(path)], check=True)
