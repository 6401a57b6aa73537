"""Measures one section: the HTTP API beside a worker that has work to do."""

import asyncio
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from itertools import count, islice, product
from pathlib import Path
from typing import TypeAlias

import psutil

from tests.bench.ahead import ahead, allowed
from tests.bench.bench import Bench, connected
from tests.bench.caller import Caller
from tests.bench.drain import stop
from tests.bench.latency import at_a_steady_rate as send_at_a_steady_rate
from tests.bench.latency import percentile
from tests.bench.learners import Rows, even, in_time, lesson_id
from tests.bench.machine import server_processes
from tests.bench.result import Figure, Result
from tests.bench.shares import HOST, Shares, format_shares
from tests.callers import Issuer, api_settings, authorized
from tests.processes import WorkerProcess, eventually, running
from worker.settings import Settings

READS_PER_S, WRITES_PER_S, EVENTS_PER_S = 200, 20, 500
JSON = {"Content-Type": "application/json"}
LEARNERS = 1000  # each with one token
QUIET = 1  # percent

Call: TypeAlias = Callable[[], Awaitable[int]]  # returns the HTTP status


@dataclass(frozen=True, slots=True)
class Round:
    """Holds the milliseconds of a call, and what the other processes did meanwhile."""

    p50: float
    p99: float
    host: float  # percent of all cores' time that the host took
    meanwhile: str


class Website:
    """Calls one API process for learners at random, and completes lessons that these rows have not completed."""

    def __init__(self, caller: Caller, issuer: Issuer, rows: Rows, process: psutil.Process) -> None:
        self.process = process
        self.caller = caller
        self.issuer = issuer
        self._rows = rows
        self._rng = random.Random(2)
        self._completed = count()
        keys = [rows.key(number) for number in range(min(LEARNERS, rows.rows))]
        until = int(time.time()) + 3600
        self._learners = [(course, authorized(issuer.token(user, exp=until))) for user, course in keys]

    @property
    def calls(self) -> dict[str, tuple[Call, int]]:
        """Returns each call with its rate per second."""
        return {
            f"GET /api/progress/{{courseId}}, {READS_PER_S}/s": (self.read, READS_PER_S),
            f"POST /api/progress/complete, {WRITES_PER_S}/s": (self.complete, WRITES_PER_S),
        }

    async def read(self) -> int:
        course, headers = self._rng.choice(self._learners)
        return await self.caller.status("GET", f"/api/progress/{course}", headers)

    async def complete(self) -> int:
        lesson, learner = divmod(next(self._completed), len(self._learners))
        course, headers = self._learners[learner]
        new = self._rows.done + lesson % (self._rows.lessons - self._rows.done)
        body = {"courseId": str(course), "lessonId": lesson_id(new), "totalLessons": self._rows.lessons}
        content = json.dumps(body).encode()
        return await self.caller.status("POST", "/api/progress/complete", {**headers, **JSON}, content)


@dataclass(frozen=True, slots=True)
class Running:
    site: Website
    worker: WorkerProcess
    servers: dict[str, psutil.Process | None]

    def shares(self) -> Shares:
        return Shares(**self.servers, worker=psutil.Process(self.worker.process.pid), API=self.site.process)

    async def behind_s(self) -> float:
        """Returns how long the worker's oldest event has waited."""
        return max((await self.worker.metric("progress_lag_seconds")).values())


async def api(bench: Bench) -> Result:
    """One API process and one worker run, and a publisher sends 500 events/s to the worker meanwhile.

    The calls come at a steady rate for random learners, whether or not earlier calls have ended. Time starts when a
    call was due and ends with the whole answer. `complete` publishes an event to Kafka and returns when the worker has
    applied it. Rounds come in turn, and more of them where the host of this virtual machine takes 1 % of its cores or
    more. Of the rounds in which it took least, the one with the median p99 counts.

    Ahead: the kernel runs these processes first (SCHED_RR), in this order, and all others on what is left, as
    [docs/api.md](api.md) has it for one machine. The harness stands for callers, who have machines of their own.
    """
    rounds = bench.sizes.call_rounds
    result = Result("HTTP API", ("call", "ahead", "p50 ms", "p99 ms", "p99 of these rounds", "meanwhile"))
    found: dict[tuple[str, str], list[Round]] = defaultdict(list)
    async with beside_a_worker(bench) as running:
        for _, (names, processes) in product(range(2 * rounds), orders(bench, running).items()):
            with ahead(*processes):
                await measure(bench, running, names, found)
    for (name, names), all in found.items():
        add(result, name, names, sorted(all, key=lambda one: one.host)[:rounds])
    return result


async def measure(bench: Bench, running: Running, names: str, found: dict[tuple[str, str], list[Round]]) -> None:
    """Measures a round of each call that has not had enough quiet ones."""
    for name, (call, rate) in running.site.calls.items():
        had = found[name, names]
        if sum(one.host < QUIET for one in had) < bench.sizes.call_rounds:
            one = await measured(running, call, rate, bench.sizes.calls_s)
            bench.say(f"  {name}, ahead {names}: p99 {one.p99:.1f} ms, {one.meanwhile}")
            had.append(one)


@asynccontextmanager
async def beside_a_worker(bench: Bench, *more: Rows) -> AsyncIterator[Running]:
    """Starts a worker, an API and a publisher, and yields them when they are warmed up. `more` are rows beside."""
    sizes, rows = bench.sizes, Rows(bench.sizes.rows)
    calls_s = 3 * 2 * 2 * sizes.call_rounds * sizes.calls_s  # three orders, two calls, at most twice as many rounds
    lasting_s = 120 + sizes.latency_s + calls_s
    async with bench.filled(rows, *more) as database, bench.copy(database) as fresh, bench.topics(fresh) as settings:
        with WorkerProcess(settings) as worker:
            async with (
                connected(settings) as connection,
                website(settings, rows) as site,
                others(settings, rows, lasting_s),
            ):
                await warmed_up(site, sizes.latency_s)
                yield Running(site, worker, server_processes(settings.kafka_bootstrap_servers, connection))
            await stop(worker)


def orders(bench: Bench, running: Running) -> dict[str, tuple[psutil.Process, ...]]:
    """Returns the orders in which processes go ahead: only "none" without the right or a local database."""
    alike: dict[str, tuple[psutil.Process, ...]] = {"none": ()}
    callers, api, database = psutil.Process(), running.site.process, running.servers["database"]
    if database and allowed(callers, api, database):
        return {**alike, "API, database": (api, database), "callers, API, database": (callers, api, database)}
    bench.say("  API and database ahead: not measured, it takes CAP_SYS_NICE and a PostgreSQL on this machine")
    return alike


async def measured(running: Running, call: Call, rate: int, for_s: float) -> Round:
    shares = running.shares()
    took_s = await calls_at_a_steady_rate(call, rate, for_s)
    had = shares.percent()
    meanwhile = f"{format_shares(had)}; the worker {await running.behind_s():.1f} s behind"
    return Round(1000 * percentile(took_s, 50), 1000 * percentile(took_s, 99), had[HOST], meanwhile)


def add(result: Result, name: str, names: str, rounds: Sequence[Round]) -> None:
    ordered = sorted(rounds, key=lambda one: one.p99)
    middle, all = ordered[len(ordered) // 2], ", ".join(f"{one.p99:.0f}" for one in ordered)
    result.rows.append((name, names, f"{middle.p50:.1f}", f"{middle.p99:.1f}", all, middle.meanwhile))
    beside = f"p50 {middle.p50:.1f} ms; p99 of the rounds {all}"
    result.figures[f"{name.partition(' ')[0]}, ahead {names}"] = Figure(middle.p99, beside, middle.meanwhile)


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
    """Publishes events until the end of the block, for at most `for_s` seconds."""
    happened = list(islice(in_time(even(rows, random.Random(3))), int(EVENTS_PER_S * for_s)))
    sending = asyncio.create_task(send_at_a_steady_rate(settings, happened, EVENTS_PER_S), name="others")
    await asyncio.sleep(0)  # the task prepares its records, for seconds
    try:
        yield
        if sending.done():
            sending.result()
            raise AssertionError("the publisher ended too early: the worker had nothing to do")
    finally:
        sending.cancel()
        await asyncio.wait({sending})


async def warmed_up(site: Website, for_s: float) -> None:
    """Waits until the API answers, and calls it until the broker's JVM has compiled its hot code."""

    async def answers() -> bool:
        return await site.complete() == 200 and await site.read() == 200

    await eventually(answers)
    for call, rate in site.calls.values():
        await calls_at_a_steady_rate(call, rate, for_s / 2)


async def calls_at_a_steady_rate(call: Call, rate: int, for_s: float) -> list[float]:
    """Makes the calls, and returns how long each took from the moment when it was due."""
    began = time.perf_counter()

    async def one(number: int) -> float:
        status = await call()
        assert status == 200, status
        return time.perf_counter() - (began + number / rate)

    async with asyncio.TaskGroup() as group:
        calls = []
        for number in range(int(rate * for_s)):
            await asyncio.sleep(max(0, began + number / rate - time.perf_counter()))
            calls.append(group.create_task(one(number), name="call"))
    return [each.result() for each in calls]
