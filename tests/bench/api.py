"""Section: the HTTP API beside a worker that has work to do."""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import psutil

from tests.api.processes import Issuer, api_settings, authorized, running
from tests.bench.bench import Bench, connected
from tests.bench.drain import stop
from tests.bench.latency import at_a_steady_rate as send_at_a_steady_rate
from tests.bench.latency import percentile
from tests.bench.learners import Rows, even, in_time, lesson_id
from tests.bench.machine import server_processes
from tests.bench.result import Figure, Result
from tests.bench.shares import Shares
from tests.workers import WorkerProcess, eventually
from worker.settings import Settings

READS_PER_S, WRITES_PER_S, EVENTS_PER_S = 200, 20, 500
LEARNERS = 1000  # each with one token

Call: TypeAlias = Callable[[int], Awaitable[int]]  # the status of the numbered call


class Website:
    """Calls one API process for learners at random."""

    def __init__(self, session: aiohttp.ClientSession, issuer: Issuer, rows: Rows, process: psutil.Process) -> None:
        self.process = process
        self._session = session
        self._rng = random.Random(2)
        keys = [rows.key(number) for number in range(min(LEARNERS, rows.rows))]
        self._learners = [(course, authorized(issuer.token(user))) for user, course in keys]

    async def read(self, _: int) -> int:
        course, headers = self._rng.choice(self._learners)
        return await self._status(self._session.get(f"/api/progress/{course}", headers=headers))

    async def complete(self, number: int) -> int:
        course, headers = self._learners[number % len(self._learners)]
        body = {"courseId": str(course), "lessonId": lesson_id(number % 40), "totalLessons": 40}
        return await self._status(self._session.post("/api/progress/complete", json=body, headers=headers))

    async def _status(self, request: Any) -> int:
        async with request as response:
            await response.read()
            return int(response.status)


async def api(bench: Bench) -> Result:
    """One API process and one worker, to which others send 500 events/s meanwhile; calls at a steady rate for learners
    at random, whoever is done. Time starts when a call was due and ends with the whole answer. `complete` publishes an
    event to Kafka and returns when the worker has applied it. The harness has its share of the same cores.
    """
    rows = Rows(bench.sizes.rows)
    result = Result("HTTP API", ("call", "per second", "p50 ms", "p99 ms", "meanwhile"))
    async with bench.filled(rows) as database, bench.copy(database) as fresh, bench.topics(fresh) as settings:
        with WorkerProcess(settings) as worker:
            async with (
                connected(settings) as connection,
                website(settings, rows) as site,
                others(settings, rows, 4 * (bench.sizes.latency_s + bench.sizes.warm_up_s)),
            ):
                await warmed_up(site)
                servers = server_processes(settings.kafka_bootstrap_servers, connection)
                for name, call, rate in (
                    ("GET /api/progress/{courseId}", site.read, READS_PER_S),
                    ("POST /api/progress/complete", site.complete, WRITES_PER_S),
                ):
                    await calls_at_a_steady_rate(call, rate, bench.sizes.warm_up_s)
                    shares = Shares(**servers, worker=psutil.Process(worker.process.pid), API=site.process)
                    took = await calls_at_a_steady_rate(call, rate, bench.sizes.latency_s)
                    add(result, name, rate, took, shares.told())
            await stop(worker)
    return result


@asynccontextmanager
async def website(settings: Settings, rows: Rows) -> AsyncIterator[Website]:
    with tempfile.TemporaryDirectory() as directory:
        issuer = Issuer(Path(directory))
        async with running(api_settings(settings, issuer)) as process:
            async with aiohttp.ClientSession(process.address) as session:
                yield Website(session, issuer, rows, psutil.Process(process.process.process.pid))
            await stop(process.process)


@asynccontextmanager
async def others(settings: Settings, rows: Rows, for_s: float) -> AsyncIterator[None]:
    """Send events all the while."""
    happened = list(islice(in_time(even(rows, random.Random(3))), int(EVENTS_PER_S * for_s)))
    sending = asyncio.create_task(send_at_a_steady_rate(settings, happened, EVENTS_PER_S), name="others")
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.wait({sending})


async def warmed_up(site: Website) -> None:
    async def answers() -> bool:
        return await site.complete(0) == 200 and await site.read(0) == 200

    await eventually(answers)


def add(result: Result, name: str, rate: int, took_s: list[float], shares: str) -> None:
    p50, p99 = (1000 * percentile(took_s, p) for p in (50, 99))
    result.rows.append((name, f"{rate}", f"{p50:.1f}", f"{p99:.1f}", shares))
    result.figures[name.partition(" ")[0]] = Figure(p99, f"p50 {p50:.1f} ms", shares)


async def calls_at_a_steady_rate(call: Call, rate: int, for_s: float) -> list[float]:
    """How long each call took from when it was due."""
    began = time.perf_counter()

    async def one(number: int) -> float:
        status = await call(number)
        assert status == 200, status
        return time.perf_counter() - (began + number / rate)

    calls = []
    for number in range(int(rate * for_s)):
        await asyncio.sleep(max(0, began + number / rate - time.perf_counter()))
        calls.append(asyncio.create_task(one(number), name="call"))
    return list(await asyncio.gather(*calls))
