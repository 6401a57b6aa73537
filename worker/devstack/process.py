"""Server processes that cannot outlive this one, their ports and their directories."""

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
    """An option that gives no server here. The text says why."""


class Missing(Unavailable):
    """Something is not installed."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"no {what}: {remedy}")


class StartFailed(Unavailable):
    """All that is needed is there, and yet it does not start."""


class PortTaken(StartFailed):
    """Another process took the port between the choice and the start: try again with another."""


@dataclass(frozen=True)
class KeptCommand:
    """A command under its keeper (`keeper.py`)."""

    keeper: subprocess.Popen[bytes]
    log: Path

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float = 90) -> None:
        """Blocks until `ready()`. Raises `PortTaken` or `StartFailed`, with the log's last lines."""
        deadline = time.monotonic() + timeout_s
        ended = False
        while not ready():
            if ended or time.monotonic() > deadline:
                raise self.read_failure()
            ended = self.keeper.poll() is not None  # `ready` has one more say: it may have ended well
            time.sleep(0.02)

    def wait(self, *, timeout_s: float = 90) -> None:
        """Blocks until the command has succeeded. Raises as `wait_until` does."""
        self.wait_until(lambda: self.keeper.poll() == 0, timeout_s=timeout_s)

    def read_failure(self) -> StartFailed:
        log = self.log.read_text(errors="replace")
        kind = PortTaken if "Address already in use" in log else StartFailed
        without_java_frames = [line for line in log.splitlines() if not line.startswith("\t")]
        return kind("\n".join(without_java_frames[-8:]) or "no answer, no log")


@contextmanager
def run_kept(
    command: Sequence[str], directory: Path, *, stop: signal.Signals = signal.SIGTERM, user: str = ""
) -> Iterator[KeptCommand]:
    """Runs `command` in `directory`, as `user` if given, until the block or this process ends.

    Then sends it `stop`, 10 s later SIGKILL, and deletes the directory; the block's end waits for that.
    A command that ends by itself leaves the directory.
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
    with log.open("wb") as output:
        return subprocess.Popen(
            # -I and -S: the standard library is enough, and up in 10 ms.
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("keeper.py")), *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            # Ctrl-C in the terminal is for this process; its servers go when it has finished with them.
            start_new_session=True,
            # "Address already in use" is looked for in English.
            env=os.environ | {"LC_MESSAGES": "C"},
        )


@contextmanager
def scratch_directory(name: str) -> Iterator[Path]:
    """A temporary directory. Root's is in `/tmp`, which the user that PostgreSQL runs as can enter."""
    parent = "/tmp" if os.geteuid() == 0 else None
    prefix = f"course-progress-{name}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def find_free_ports(count: int) -> list[int]:
    """Distinct ports that were free on loopback a moment ago."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
