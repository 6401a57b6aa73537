"""Supervises a worker: starts it again whenever it ends by itself or is killed."""

import asyncio
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.processes import environment, eventually
from worker.settings import Settings

RESTART_AFTER_S = 0.3
# Ends workers however the suite ends, through util-linux. Without that program a killed suite leaves them running.
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


@dataclass
class SupervisedWorker:
    """Keeps a process running. Whatever it was started as, it starts again with its command, `worker` by default."""

    settings: Settings
    log: Path
    checkout: Path | None = None  # whose code it runs
    process: subprocess.Popen[bytes] = field(init=False)
    exits: list[int] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)  # exit statuses that the fault causes
    wanted: bool = True
    command: str = "worker"

    def start(self, arguments: tuple[str, ...]) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*DIES_WITH_US, sys.executable, "-m", *arguments],
                cwd=self.checkout,
                env=environment(self.settings),
                stderr=log,
                start_new_session=True,
            )

    async def run(self) -> None:
        while True:
            status = self.process.poll()
            if status is not None:
                self.exits.append(status)
                if not self.wanted:
                    return
                await asyncio.sleep(RESTART_AFTER_S)
                if not self.wanted:
                    return
                self.start(("worker.cli", self.command))
            await asyncio.sleep(0.02)

    def signal(self, number: int) -> None:
        self.expected |= {-signal.SIGKILL} if number == signal.SIGKILL else {0, 130}  # 130: stopped while it starts
        self.process.send_signal(number)

    async def stop(self) -> None:
        """Stops the worker permanently, as an operator does: SIGTERM, and it drains."""
        self.wanted = False
        self.signal(signal.SIGTERM)
        if self.exits:
            self.expected.add(-signal.SIGTERM)  # just started again: Python has not installed our handler yet
        await asyncio.get_running_loop().run_in_executor(None, self.process.wait, 60)

    async def kill(self) -> None:
        """Kills the process, as soon as one runs, and returns when the supervisor has seen that."""

        async def runs() -> bool:
            return self.process.poll() is None

        await eventually(runs)
        times = len(self.exits) + 1
        self.signal(signal.SIGKILL)
        await self.wait_for_exits(times)

    async def wait_for_exits(self, times: int = 1) -> None:
        async def ended() -> bool:
            return len(self.exits) >= times

        await eventually(ended)

    async def metric(self, name: str) -> float:
        """Reads a metric, summed over its labels; 0 while the worker does not answer."""
        with suppress(httpx.HTTPError):
            async with httpx.AsyncClient() as http:
                text = (await http.get(f"http://127.0.0.1:{self.settings.http_port}/metrics")).text
            return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))
        return 0

    async def partitions(self) -> float:
        """Reads how many partitions of lesson events it has; 0 while it does not answer."""
        return await self.metric(f'progress_partitions{{group="{self.settings.consumer_group}"')

    async def owned(self) -> set[int]:
        """Reads which partitions of lesson events it has; none while it does not answer."""
        with suppress(httpx.HTTPError):
            async with httpx.AsyncClient() as http:
                answer = await http.get(f"http://127.0.0.1:{self.settings.http_port}/ready")
            return set(answer.json()["partitions"])
        return set()

    async def ready(self) -> int:
        """Reads the HTTP status of /ready; 0 while the worker does not answer."""
        with suppress(httpx.HTTPError):
            async with httpx.AsyncClient() as http:
                return (await http.get(f"http://127.0.0.1:{self.settings.http_port}/ready")).status_code
        return 0
