"""Measures how fast a backlog is drained: from the start of the first transaction to the last commit."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import asyncpg

from tests.bench.bench import connected, query
from tests.bench.machine import CORES, Cpu, Meter
from tests.processes import WorkerProcess
from worker.settings import Settings

POLL_EVERY_S = 0.02
STARTS_WITHIN_S = 90


@dataclass(frozen=True, slots=True)
class Seen:
    """Holds what is applied, and how long ago the first transaction began, by the database's clock."""

    events: int
    seconds: float
    wal_kb: float  # written by the server so far


Look: TypeAlias = Callable[[], Awaitable[Seen]]


@dataclass(frozen=True, slots=True)
class Drained:
    """Holds the result of one drain: microseconds of CPU per event, and kB of WAL."""

    events: int
    seconds: float
    cpu: Cpu
    wal: float
    stages: str = ""  # the stages of the worker and their share of an event's time

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    @property
    def us(self) -> float:
        return 1e6 / self.rate


def median(runs: Sequence[Drained]) -> Drained:
    """Returns the run with the median rate; of two, the slower."""
    return sorted(runs, key=lambda run: run.rate)[(len(runs) - 1) // 2]


def spread(runs: Sequence[Drained]) -> str:
    return f"{min(run.rate for run in runs):,.0f} to {max(run.rate for run in runs):,.0f}"


def busy(run: Drained) -> float:
    """Returns the share of all cores that broker, database and contender had, from 0 to 1."""
    return run.cpu.all * run.rate / 1e6 / CORES


def describe_bound(run: Drained) -> str:
    """Describes what bounds a drain, as far as processor time shows it."""
    cpu = run.cpu
    worker = f"{cpu.contender:.0f} in the worker ({cpu.contender * run.rate / 1e6:.0%} of a core)"
    return (
        f"per event {cpu.database:.0f} µs of CPU in the database, {worker} and {cpu.broker:.0f} in the broker: "
        f"{busy(run):.0%} of {CORES} cores"
    )


async def drain(settings: Settings, events: int, *, workers: int = 1) -> Drained:
    """Lets our workers drain `events` events. Several workers are held back until all of them have their partitions."""
    together = workers > 1
    async with connected(settings) as connection:
        with ExitStack() as started:
            async with hold_back(settings) if together else nullcontext():
                processes = [started.enter_context(WorkerProcess(settings)) for _ in range(workers)]
                if together:
                    await wait_until_held_back(connection, processes)
            drained = await follow_drain(settings, connection, processes, events)
            drained = replace(drained, stages=await read_stages(processes[0], events / workers))
            await asyncio.gather(*(stop(process) for process in processes))
    return drained


@asynccontextmanager
async def hold_back(settings: Settings) -> AsyncIterator[None]:
    """Locks the stored offsets, so that no worker reads them before the block ends."""
    async with connected(settings) as holder, holder.transaction():
        await holder.execute("lock table consumed_offset in access exclusive mode")
        yield


async def wait_until_held_back(connection: asyncpg.Connection, processes: list[WorkerProcess]) -> None:
    """Waits until each worker has partitions and asks for their stored offsets."""
    async with asyncio.timeout(STARTS_WITHIN_S):
        while await connection.fetchval(query("held_back")) < len(processes):
            require_running(processes)
            await asyncio.sleep(POLL_EVERY_S)


async def follow_drain(
    settings: Settings,
    connection: asyncpg.Connection,
    processes: list[WorkerProcess],
    events: int,
    longest_s: float = math.inf,
    look: Look | None = None,
    every_s: float = POLL_EVERY_S,
) -> Drained:
    """Measures a drain until `events` are applied, or `longest_s` is over.

    It begins when the first transaction began, by the database's clock, and ends when a look finds all applied.
    """
    look = look or partial(read_applied, connection)
    meter = Meter(settings.kafka_bootstrap_servers, connection, [p.process.pid for p in processes])
    async with asyncio.timeout(STARTS_WITHIN_S):
        first = await look_until(look, processes, lambda seen: seen.events > 0, every_s)
    cpu = meter.read()

    def enough(seen: Seen) -> bool:
        return seen.events >= events or seen.seconds >= longest_s

    last = await look_until(look, processes, enough, every_s)
    measured = last.events - first.events
    wal = (last.wal_kb - first.wal_kb) / measured if measured else math.nan
    return Drained(last.events, last.seconds, meter.read().per_event(cpu, measured), wal)


async def look_until(
    look: Look, processes: list[WorkerProcess], enough: Callable[[Seen], bool], every_s: float = POLL_EVERY_S
) -> Seen:
    while not enough(seen := await look()):
        require_running(processes)
        await asyncio.sleep(every_s)
    return seen


def require_running(processes: list[WorkerProcess]) -> None:
    """Raises RuntimeError, with the end of its log, when a process has ended."""
    for process in processes:
        if process.process.poll() is not None:
            last_words = "\n".join(process.log.splitlines()[-12:])
            raise RuntimeError(f"{process.process.args} ended with {process.process.returncode}:\n{last_words}")


async def stop(process: WorkerProcess) -> None:
    """Sends SIGTERM and waits for the end of the process."""
    await asyncio.to_thread(process.stop)


async def read_stages(worker: WorkerProcess, times: float) -> str:
    """Reads the worker's time in each stage, waiting included, divided by a number of events or batches."""
    spent = await worker.metric("progress_stage_seconds_sum")
    return ", ".join(f"{label[8:-2]} {1e6 * each / times:,.1f} µs" for label, each in spent.items())  # {stage="…"}


async def read_applied(connection: asyncpg.Connection) -> Seen:
    """Reads what is applied, by the stored offsets."""
    row = await connection.fetchrow(query("applied"))
    return Seen(row["events"], row["seconds"] or 0, row["wal_kb"])
