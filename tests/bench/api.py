"""Section: the HTTP API beside a worker that has work to do."""

import asyncio
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, nullcontext
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from statistics import median
from typing import TypeAlias

import psutil

from tests.api.processes import Issuer, api_settings, authorized, running
from tests.bench.ahead import ahead, allowed
from tests.bench.bench import Bench, connected
from tests.bench.caller import Caller
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
JSON = {"Content-Type": "application/json"}
LEARNERS = 1000  # each with one token

Call: TypeAlias = Callable[[int], Awaitable[int]]  # the status of the numbered call


@dataclass(frozen=True, slots=True)
class Round:
    """Milliseconds of a call, and who had the cores."""

    p50: float
    p99: float
    shares: str


class Website:
    """Calls one API process for learners at random."""

    def __init__(self, caller: Caller, issuer: Issuer, rows: Rows, process: psutil.Process) -> None:
        self.process = process
        self._caller = caller
        self._rng = random.Random(2)
        keys = [rows.key(number) for number in range(min(LEARNERS, rows.rows))]
        self._learners = [(course, authorized(issuer.token(user))) for user, course in keys]

    @property
    def calls(self) -> dict[str, tuple[Call, int]]:
        """Each with how many of it a second."""
        return {
            f"GET /api/progress/{{courseId}}, {READS_PER_S}/s": (self.read, READS_PER_S),
            f"POST /api/progress/complete, {WRITES_PER_S}/s": (self.complete, WRITES_PER_S),
        }

    async def read(self, _: int) -> int:
        course, headers = self._rng.choice(self._learners)
        return await self._caller.status("GET", f"/api/progress/{course}", headers)

    async def complete(self, number: int) -> int:
        course, headers = self._learners[number % len(self._learners)]
        body = {"courseId": str(course), "lessonId": lesson_id(number % 40), "totalLessons": 40}
        content = json.dumps(body).encode()
        return await self._caller.status("POST", "/api/progress/complete", {**headers, **JSON}, content)


async def api(bench: Bench) -> Result:
    """One API process and one worker, to which others send 500 events/s meanwhile; calls at a steady rate for learners
    at random, whoever is done. Time starts when a call was due and ends with the whole answer. `complete` publishes an
    event to Kafka and returns when the worker has applied it. Rounds in turn; the median of their p50 and p99.

    Callers, API and database first: the kernel runs them ahead of Kafka and the worker, as [docs/api.md](api.md) has it
    for one machine (the harness stands for callers with machines of their own). Else all processes are alike to it.
    """
    result = Result("HTTP API", ("call", "callers, API, database first", "p50 ms", "p99 ms", "meanwhile, last round"))
    found: dict[tuple[str, bool], list[Round]] = defaultdict(list)
    async with beside_a_worker(bench) as (site, processes):
        for _, first in product(range(bench.sizes.call_rounds), orders(bench)):
            with ahead(*filter(None, (site.process, processes["database"]))) if first else nullcontext():
                for name, (call, rate) in site.calls.items():
                    one = await measured(call, rate, bench.sizes.calls_s, Shares(**processes))
                    bench.say(f"  {name}{', first' * first}: p99 {one.p99:.1f} ms, {one.shares}")
                    found[name, first].append(one)
    for (name, first), rounds in found.items():
        add(result, name, first, rounds)
    return result


@asynccontextmanager
async def beside_a_worker(bench: Bench) -> AsyncIterator[tuple[Website, dict[str, psutil.Process | None]]]:
    """Warm and at work, all of them; and their processes."""
    sizes, rows = bench.sizes, Rows(bench.sizes.rows)
    lasting_s = 60 + sizes.latency_s + 4 * sizes.call_rounds * sizes.calls_s
    async with bench.filled(rows) as database, bench.copy(database) as fresh, bench.topics(fresh) as settings:
        with WorkerProcess(settings) as worker:
            async with (
                connected(settings) as connection,
                website(settings, rows) as site,
                others(settings, rows, lasting_s),
            ):
                await warmed_up(site, sizes.latency_s)
                servers = server_processes(settings.kafka_bootstrap_servers, connection)
                yield site, {**servers, "worker": psutil.Process(worker.process.pid), "API": site.process}
            await stop(worker)


def orders(bench: Bench) -> list[bool]:
    """Whether callers, API and database go first: both, in turn, or where the kernel forbids it only not."""
    if allowed():
        return [False, True]
    bench.say("  callers, API and database first: not measured, it takes CAP_SYS_NICE (run it as root)")
    return [False]


async def measured(call: Call, rate: int, for_s: float, shares: Shares) -> Round:
    took_s = await calls_at_a_steady_rate(call, rate, for_s)
    return Round(1000 * percentile(took_s, 50), 1000 * percentile(took_s, 99), shares.told())


def add(result: Result, name: str, first: bool, rounds: list[Round]) -> None:
    p50, p99, shares = median(r.p50 for r in rounds), median(r.p99 for r in rounds), rounds[-1].shares
    result.rows.append((name, "yes" if first else "no", f"{p50:.1f}", f"{p99:.1f}", shares))
    result.figures[name.partition(" ")[0] + (" first" if first else "")] = Figure(p99, f"p50 {p50:.1f} ms", shares)


@asynccontextmanager
async def website(settings: Settings, rows: Rows) -> AsyncIterator[Website]:
    with tempfile.TemporaryDirectory() as directory:
        issuer = Issuer(Path(directory))
        async with running(api_settings(settings, issuer)) as process:
            with closing(Caller(process.address)) as caller:
                yield Website(caller, issuer, rows, psutil.Process(process.process.process.pid))
            await stop(process.process)


@asynccontextmanager
async def others(settings: Settings, rows: Rows, for_s: float) -> AsyncIterator[None]:
    """Send events all the while, which lasts no longer than that."""
    happened = list(islice(in_time(even(rows, random.Random(3))), int(EVENTS_PER_S * for_s)))
    sending = asyncio.create_task(send_at_a_steady_rate(settings, happened, EVENTS_PER_S), name="others")
    try:
        yield
        assert not sending.done(), "the worker had nothing to do in the end"
    finally:
        sending.cancel()
        await asyncio.wait({sending})


async def warmed_up(site: Website, for_s: float) -> None:
    """It answers, and the broker's JVM has compiled what it runs all the time."""

    async def answers() -> bool:
        return await site.complete(0) == 200 and await site.read(0) == 200

    await eventually(answers)
    await calls_at_a_steady_rate(site.read, READS_PER_S, for_s)


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
