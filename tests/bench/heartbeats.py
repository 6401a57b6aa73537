"""Measures one section: what it costs that workers tell Kafka more often that they live."""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median

import psutil

from tests.bench.bench import Bench, connected
from tests.bench.drain import stop
from tests.bench.machine import Meter
from tests.bench.result import Figure, Result
from tests.processes import WorkerProcess, eventually
from worker.settings import Settings

SELDOM_S = 3.0  # as often as Kafka's own consumer
SESSION_S = 10  # of both


@dataclass(frozen=True, slots=True)
class Idle:
    """Holds what idle workers and the broker took: percent of a core and MB; nan where the broker is not visible."""

    worker: float
    broker: float
    memory_mb: float


async def heartbeats(bench: Bench) -> Result:
    """Idle workers run with a heartbeat every 3 s, as Kafka's own consumer has, and every half second, in turn.

    Each worker is a member of two groups. The figures are for one worker, also the broker's: its processor time divided
    by the number of workers. The broker keeps nothing of a heartbeat, so its memory is not compared. Medians of the
    rounds; a difference below zero is noise, and counts as zero.
    """
    often_s = Settings.model_fields["group_heartbeat_s"].default
    found: dict[float, list[Idle]] = defaultdict(list)
    for number in range(bench.sizes.rounds):
        for interval_s in (SELDOM_S, often_s):
            found[interval_s].append(await idle(bench, interval_s))
        bench.say(f"  {number + 1}: a worker has {found[often_s][-1].worker:.2f} % of a core")
    seldom, often = (sum_up(found[interval_s]) for interval_s in (SELDOM_S, often_s))
    columns = ("of a worker", f"every {SELDOM_S:g} s", f"every {often_s:g} s", "difference")
    result = Result("Heartbeats", columns)
    for what, before, after, unit in (
        ("processor time of the worker", seldom.worker, often.worker, " % of a core"),
        ("processor time of the broker", seldom.broker, often.broker, " % of a core"),
        ("memory of the worker", seldom.memory_mb, often.memory_mb, " MB"),
    ):
        cost = max(0.0, after - before)
        result.rows.append((what, f"{before:.2f}{unit}", f"{after:.2f}{unit}", f"{cost:.2f}{unit}"))
        if math.isfinite(cost) and math.isfinite(after):
            result.figures[f"heartbeats, {what}"] = Figure(cost, f"{after:.2f}{unit} against {before:.2f}{unit}")
    return result


def sum_up(rounds: list[Idle]) -> Idle:
    return Idle(*(median(getattr(each, name) for each in rounds) for name in ("worker", "broker", "memory_mb")))


async def idle(bench: Bench, interval_s: float) -> Idle:
    """Measures idle workers with this time between two heartbeats."""
    number = bench.sizes.idle_workers
    async with idling(bench, interval_s) as (settings, workers), connected(settings) as connection:
        pids = [worker.process.pid for worker in workers]
        meter = Meter(settings.kafka_bootstrap_servers, connection, pids)
        before, began = meter.read(), time.monotonic()
        await asyncio.sleep(bench.sizes.idle_s)
        after, percent = meter.read(), 100 / (time.monotonic() - began) / number
        memory = sum(psutil.Process(pid).memory_info().rss for pid in pids) / 1e6 / number
    return Idle((after.contender - before.contender) * percent, (after.broker - before.broker) * percent, memory)


@asynccontextmanager
async def idling(bench: Bench, interval_s: float) -> AsyncIterator[tuple[Settings, list[WorkerProcess]]]:
    """Yields workers that are ready and have nothing to do, and have settled."""
    async with bench.filled() as database, bench.topics(database) as topics:
        settings = topics.model_copy(update={"group_heartbeat_s": interval_s, "session_timeout_s": SESSION_S})
        with ExitStack() as started:
            workers = [started.enter_context(WorkerProcess(settings)) for _ in range(bench.sizes.idle_workers)]

            async def ready() -> bool:
                return all([(await worker.get("/ready")).status_code == 200 for worker in workers])

            await eventually(ready)
            await asyncio.sleep(bench.sizes.idle_s / 4)
            yield settings, workers
            await asyncio.gather(*(stop(worker) for worker in workers))
