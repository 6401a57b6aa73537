"""Starts worker and API processes under test, as an operator would start them."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any, ClassVar, Self

import httpx
from pydantic import SecretStr

from tests.callers import authorized
from worker.settings import Settings
from worker.web.settings import ApiSettings

DEADLINE_S = 60


def environment(settings: Settings) -> dict[str, str]:
    """Builds the environment in which a process has these settings."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    texts = {
        n: v.get_secret_value() if isinstance(v, SecretStr) else str(v) for n, v in values.items() if v is not None
    }
    return {**os.environ, **{f"PROGRESS_{name.upper()}": text for name, text in texts.items()}}


class WorkerProcess:
    """Runs `course-progress worker`, or another module, and keeps its log for the report of a failure."""

    running: ClassVar[set["WorkerProcess"]] = set()

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
        self.running.add(self)

    def wait(self) -> int:
        """Waits until the process ends, and returns its exit status."""
        return self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.running.discard(self)
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

    @property
    def last_line(self) -> dict[str, Any]:
        """Reads the last line of the log, which names the reason when the process stopped by itself."""
        line: dict[str, Any] = json.loads(self.log.splitlines()[-1])
        return line

    @property
    def reasons(self) -> list[str]:
        """Reads the reason of every log line "the worker stopped"."""
        lines = map(json.loads, self.log.splitlines())
        return [line["reason"] for line in lines if line["event"] == "the worker stopped"]

    def count_assignments(self, topic: str) -> int:
        """Counts how often the log says that the worker was given partitions of a topic, which may be none."""
        lines = [line for line in self.log.splitlines() if '"partitions assigned"' in line]
        return sum(json.loads(line)["topic"] == topic for line in lines)

    async def get(self, path: str) -> httpx.Response:
        """Requests a path from the worker's HTTP port, as soon as it listens."""

        async def listens() -> bool:
            return "Uvicorn running on" in self.log

        await eventually(listens)
        [address] = re.findall(r"Uvicorn running on (http://127.0.0.1:\d+)", self.log)
        async with httpx.AsyncClient() as client:
            return await client.get(f"{address}{path}")

    async def metric(self, name: str) -> dict[str, float]:
        """Reads a metric's values by their labels, as Prometheus writes them."""
        text = (await self.get("/metrics")).text
        return {labels: float(value) for labels, value in re.findall(rf"^{name}(\S*) (\S+)$", text, re.MULTILINE)}


class Workers:
    """Starts workers with the same settings. On exit kills them and prints their logs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started: list[WorkerProcess] = []

    def start(
        self, *arguments: str, module: Sequence[str] = ("worker.cli", "worker"), **changed: object
    ) -> WorkerProcess:
        worker = WorkerProcess(self._settings.model_copy(update=changed), *arguments, module=module)
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


@dataclass
class ApiProcess:
    process: WorkerProcess
    address: str

    def client(self, token: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.address, headers=authorized(token), timeout=30)


@asynccontextmanager
async def running(settings: ApiSettings) -> AsyncIterator[ApiProcess]:
    """Runs `course-progress api` until the end of the block, and yields it when it listens."""
    with WorkerProcess(settings, module=("worker.cli", "api")) as process:

        async def listens() -> bool:
            assert process.process.poll() is None, process.log
            return '"listening"' in process.log

        await eventually(listens)
        [address] = re.findall(r"http://127.0.0.1:\d+", process.log)
        try:
            yield ApiProcess(process, address)
        finally:
            print(process.log)
