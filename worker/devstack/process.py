"""Runs server processes that cannot outlive this process, and finds ports and directories for them."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

Say = Callable[[str], None]


class Unavailable(Exception):
    """Says that an option cannot give a server on this machine. The text says why."""


class Missing(Unavailable):
    """Says that a program or package which the option needs is not installed."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"no {what}: {remedy}")


class StartFailed(Unavailable):
    """Says that a server does not start, although everything that it needs is installed."""


class PortTaken(StartFailed):
    """Says that another process took the port between its choice and the start: try another port."""


@dataclass(frozen=True)
class KeptCommand:
    """Waits for a command that runs under its keeper (`keeper.py`), and reads its log."""

    keeper: subprocess.Popen[bytes]
    log: Path

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float = 90) -> None:
        """Blocks until `ready()`. Raises PortTaken or StartFailed, with the log's last lines."""
        deadline = time.monotonic() + timeout_s
        ended = False
        while not ready():
            if ended or time.monotonic() > deadline:
                raise self.read_failure()
            ended = self.keeper.poll() is not None  # `ready` is asked once more: it may have succeeded
            time.sleep(0.02)

    def wait(self, *, timeout_s: float = 90) -> None:
        """Blocks until the command has ended with status 0. Raises as `wait_until` does."""
        self.wait_until(lambda: self.keeper.poll() == 0, timeout_s=timeout_s)

    def read_failure(self) -> StartFailed:
        """Builds the error that the log explains, with its last lines."""
        log = self.log.read_text(errors="replace")
        kind = PortTaken if "Address already in use" in log else StartFailed
        without_java_frames = [line for line in log.splitlines() if not line.startswith("\t")]
        return kind("\n".join(without_java_frames[-8:]) or "no answer, no log")


@contextmanager
def run_kept(
    command: Sequence[str], directory: Path, *, stop: signal.Signals = signal.SIGTERM, user: str = ""
) -> Iterator[KeptCommand]:
    """Runs `command` under a keeper in `directory`, as `user` if given, until the block or this process ends.

    Then the keeper sends it `stop`, 10 s later SIGKILL, and deletes the directory; the end of the block waits for that.
    If the command ends by itself, the directory stays.
    """
    log = directory / "log"
    keeper = start_keeper([stop.name, user, str(directory), *command], log)
    assert keeper.stdin is not None
    try:
        yield KeptCommand(keeper, log)
    finally:
        keeper.stdin.close()
        keeper.wait()


def start_keeper(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Starts a keeper, whose command logs to `log`."""
    with log.open("wb") as output:
        return subprocess.Popen(
            # -I and -S: the standard library alone starts in 10 ms.
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("keeper.py")), *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            # Ctrl-C in the terminal must reach only this process, which stops its servers when it no longer needs them.
            start_new_session=True,
            # `read_failure` looks for "Address already in use" in English.
            env=os.environ | {"LC_MESSAGES": "C"},
        )


@contextmanager
def scratch_directory(name: str) -> Iterator[Path]:
    """Creates a temporary directory for the block: for root in `/tmp`, which PostgreSQL's user can enter."""
    parent = "/tmp" if os.geteuid() == 0 else None
    prefix = f"course-progress-{name}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def find_free_ports(count: int) -> list[int]:
    """Finds distinct ports that are free on loopback; another process may take one before its use."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
