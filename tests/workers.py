"""Worker processes under test, as an operator would start them."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import IO, Self

from pydantic import SecretStr

from worker.settings import Settings

DEADLINE_S = 60


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which a process has these settings."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    texts = {
        n: v.get_secret_value() if isinstance(v, SecretStr) else str(v) for n, v in values.items() if v is not None
    }
    return {**os.environ, **{f"PROGRESS_{name.upper()}": text for name, text in texts.items()}}


class WorkerProcess:
    """`course-progress worker`, or another module, its log kept for when something goes wrong."""

    def __init__(
        self,
        settings: Settings,
        *arguments: str,
        module: Sequence[str] = ("worker.cli", "worker"),
        python: str = sys.executable,
    ) -> None:
        self._log: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- closed with the process
        command = [python, "-m", *module, *arguments]
        self.process = subprocess.Popen(
            command, env=environment(settings), stdout=self._log, stderr=self._log, start_new_session=True
        )

    def wait(self) -> int:
        """The exit status, when it ended by itself."""
        return self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.close()

    @property
    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()


class Workers:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started: list[WorkerProcess] = []

    def start(self, *arguments: str, **changed: object) -> WorkerProcess:
        worker = WorkerProcess(self._settings.model_copy(update=changed), *arguments)
        self._started.append(worker)
        return worker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._started:
            worker.kill()
            print(worker.log)  # pytest shows it when the test failed
            worker.close()


async def eventually(condition: Callable[[], Awaitable[bool]], deadline_s: float = DEADLINE_S) -> None:
    """Returns when the condition holds; fails when it does not within the deadline."""
    end = time.monotonic() + deadline_s
    while not await condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {condition.__name__}"
        await asyncio.sleep(0.05)
