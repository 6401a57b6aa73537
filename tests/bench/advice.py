"""Measures one section: whether as many workers are needed as the advice says."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from tests.bench.bench import Bench, connected, database_of
from tests.bench.drain import drain, require_running
from tests.bench.learners import Rows
from tests.bench.result import Figure, Result
from tests.bench.steady import LOOK_EVERY_S, Load, read_applied, under_load
from tests.processes import WorkerProcess, eventually
from worker.operations.advice import HEADROOM, Advice
from worker.operations.watch import Operations
from worker.settings import Settings

SHARES = (0.5, 1.2, 2.1)  # of what one worker drains
COMMIT_DELAY_US = 10_000
LEFT = 0.1  # of a backlog: below, a lane may be idle


@dataclass(frozen=True, slots=True)
class Compared:
    """Compares the advice at one rate with what workers did beside that load; both without headroom."""

    rate: float
    advised: float
    workers: int  # that ran for the comparison
    each_per_s: float  # what each of them did

    @property
    def needed(self) -> float:
        return self.rate / self.each_per_s

    @property
    def off(self) -> float:
        """Returns by which part the advice is off."""
        return abs(self.advised / self.needed - 1)


async def advice(bench: Bench) -> Result:
    """One worker runs under a steady load for a while, and Operations is asked how many workers that takes.

    Then as many run as it advises, and a burst of events is added to the load. What each of them applies while there is
    a backlog is the truth that the advice is compared with; both are without the headroom of 30 %. The three rates take
    about one worker, two and three. So that three workers do not fill the cores of the machine, batches are small, and
    a commit takes 10 ms longer (commit_delay), as on a slow disk.
    """
    rows = Rows(bench.sizes.rows)
    result = Result("Advice", ("events/s", "advised workers", "needed workers", "a worker did", "the advice is off by"))
    async with bench.filled(rows) as filled:
        database = filled.model_copy(update={"batch_size": bench.sizes.advice_batch_size})
        alone = await drain_alone(bench, database, rows)
        compared = [await compare(bench, database, rows, share * alone) for share in SHARES]
    for each in compared:
        counts = (f"{each.advised:.2f}", f"{each.needed:.2f}")
        result.rows.append((f"{each.rate:,.0f}", *counts, f"{each.each_per_s:,.0f}/s", f"{each.off:.0%}"))
    worst = max(compared, key=lambda each: each.off)
    result.figures["advice"] = Figure(worst.off, f"{worst.advised:.2f} for {worst.needed:.2f} at {worst.rate:,.0f}/s")
    return result


async def drain_alone(bench: Bench, database: Settings, rows: Rows) -> float:
    """Returns what one worker drains, in events per second."""
    events = bench.sizes.advice_burst
    async with bench.backlog(database, rows, events) as backlog, slow_copy(bench, backlog) as fresh:
        return (await drain(fresh, events)).rate


@asynccontextmanager
async def slow_copy(bench: Bench, of: Settings) -> AsyncIterator[Settings]:
    """Yields a copy of the database in which each commit waits for COMMIT_DELAY_US."""
    async with bench.copy(of) as fresh:
        async with connected(fresh) as connection:
            for name, value in (("commit_delay", COMMIT_DELAY_US), ("commit_siblings", 0)):
                await connection.execute(f"alter database {database_of(fresh)} set {name} = {value}")
        yield fresh


async def compare(bench: Bench, database: Settings, rows: Rows, rate: float) -> Compared:
    async with (
        slow_copy(bench, database) as fresh,
        bench.topics(fresh) as settings,
        connected(settings) as connection,
        under_load(settings, rows, rate) as load,
    ):
        with ExitStack() as started:
            processes = [started.enter_context(WorkerProcess(settings))]
            found = await ask(settings, bench.sizes.advice_s)
            assert found.needed is not None, found.sentence
            advised = found.needed * HEADROOM
            workers = min(max(1, math.ceil(advised)), bench.sizes.advice_most_workers)
            processes += [started.enter_context(WorkerProcess(settings)) for _ in range(workers - 1)]
            await wait_until_shared(processes)
            burst = bench.sizes.advice_burst * workers
            each_per_s = await measure(settings, connection, load, processes, burst) / workers
    bench.say(f"  {rate:,.0f}/s: {advised:.2f} workers advised, each did {each_per_s:,.0f}/s")
    return Compared(rate, advised, workers, each_per_s)


async def ask(settings: Settings, for_s: float) -> Advice:
    """Watches for a while, and returns the advice."""
    async with Operations(settings) as operations:
        end = time.monotonic() + for_s
        while True:
            found = (await operations.snapshot()).advice
            if found.needed is not None and time.monotonic() > end:
                return found
            await asyncio.sleep(0.5)


async def wait_until_shared(processes: list[WorkerProcess]) -> None:
    async def shared() -> bool:
        require_running(processes)
        return all([(await worker.get("/ready")).json()["partitions"] for worker in processes])

    await eventually(shared)


async def measure(
    settings: Settings, connection: asyncpg.Connection, load: Load, processes: list[WorkerProcess], burst: int
) -> float:
    """Adds a burst to the load. Returns what all workers together apply per second while it waits.

    That is from when all of it is stored until as many events are applied, or only the part LEFT of it waits.
    """
    load.add_at_once(burst)
    began: tuple[float, int] | None = None
    while True:
        require_running(processes)
        applied = await read_applied(connection, settings)
        load.look(applied)
        now, events = time.monotonic(), sum(applied.values())
        if began and (events - began[1] >= burst or load.waiting <= burst * LEFT):
            return (events - began[1]) / (now - began[0])
        if began is None and load.is_stored:
            began = (now, events)
        await asyncio.sleep(LOOK_EVERY_S)
