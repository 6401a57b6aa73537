"""Measures one section: memory and bytes per row of a worker, and the time it needs to start and to stop."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count, islice
from statistics import mean, median

import psutil

from tests.bench.bench import Bench, Record, connected, publish, query, records
from tests.bench.drain import look_until, read_applied, require_running, stop
from tests.bench.learners import START, Rows, even, in_time
from tests.bench.result import Figure, Result
from tests.processes import WorkerProcess
from worker.settings import Settings

AHEAD = 100_000  # the worker always has so many events to do
SAMPLE_EVERY_S = 0.5


class Load:
    """Repeats the same events, each time on a later day, and stays about AHEAD events ahead of the worker."""

    def __init__(self, rows: Rows, sent_again: int) -> None:
        self._rows = rows
        self._sent_again = sent_again
        self._published = 0
        self._ended = False
        self._room = asyncio.Event()
        self._room.set()

    def __iter__(self) -> Iterator[Record]:
        happened = in_time(even(self._rows, random.Random(0)))
        ready_made = list(islice(records(happened), self._sent_again))
        for day in count():
            at = ("ce_time", (START + timedelta(days=day)).isoformat().encode())
            for record in ready_made:
                if self._ended:
                    return
                self._published += 1
                headers = [header for header in record.headers if header[0] != "ce_time"]
                yield replace(record, headers=[*headers, at])

    async def pause(self) -> None:
        await asyncio.sleep(0)
        await self._room.wait()

    def note(self, applied: int) -> None:
        if self._published - applied < AHEAD:
            self._room.set()
        else:
            self._room.clear()

    def end(self) -> None:
        self._ended = True
        self._room.set()


async def footprint(bench: Bench) -> Result:
    """One worker runs under a load that it never catches up with, which the harness produces on the same cores.

    Memory is the resident set, averaged over the third and the last tenth of the soak. Bytes are the size of the table
    and its indexes after the soak, divided by its rows. The time to the first commit counts from the process's start.
    """
    sizes, rows = bench.sizes, Rows(bench.sizes.rows)
    result = Result("Footprint", ("what", "measured"))
    async with bench.filled(rows) as database:
        async with bench.backlog(database, rows, sizes.fewer_events) as backlog:
            turns = [await start_and_stop(bench, backlog) for _ in range(sizes.starts)]
        async with bench.topics(database) as settings:
            await soak(bench, settings, rows, result)
        result.rows += await bytes_per_row(settings)
    result.rows.append(("start to first commit", f"{median(start for start, _ in turns):.1f} s"))
    result.rows.append(("SIGTERM to exit, at full speed", f"{median(stop for _, stop in turns):.1f} s"))
    return result


async def start_and_stop(bench: Bench, backlog: Settings) -> tuple[float, float]:
    """Measures the seconds from the start to the first commit, and from SIGTERM to the end."""
    async with bench.copy(backlog) as fresh, connected(fresh) as connection:
        began = time.monotonic()
        with WorkerProcess(fresh) as worker:
            await look_until(lambda: read_applied(connection), [worker], lambda seen: seen.events > 0)
            started = time.monotonic()
            await stop(worker)
            return started - began, time.monotonic() - started


async def soak(bench: Bench, settings: Settings, rows: Rows, result: Result) -> None:
    load = Load(rows, bench.sizes.fewer_events)
    publishing = asyncio.create_task(publish(settings, load, load.pause), name="load")
    try:
        with WorkerProcess(settings) as worker:
            samples, rate = await sampled(bench, settings, load, worker)
    finally:
        load.end()
        await publishing
    tenth = max(1, len(samples) // 10)  # a short trial on a busy machine has few
    third, last = mean(samples[2 * tenth : 3 * tenth] or samples), mean(samples[-tenth:])
    absolute = f"{last:.1f} MB against {third:.1f} MB"
    result.rows.append((f"memory over {bench.sizes.soak_s:.0f} s at {rate:,.0f} events/s", absolute))
    result.figures["memory"] = Figure(last / third, absolute)


async def sampled(bench: Bench, settings: Settings, load: Load, worker: WorkerProcess) -> tuple[list[float], float]:
    """Samples the worker's megabytes from its first commit on, and measures its events per second."""
    process = psutil.Process(worker.process.pid)
    samples = []
    async with connected(settings) as connection:
        first = await look_until(lambda: read_applied(connection), [worker], lambda seen: seen.events > 0)
        began = time.monotonic()
        while (lasted := time.monotonic() - began) < bench.sizes.soak_s:
            require_running([worker])
            now = await read_applied(connection)
            load.note(now.events)
            samples.append(process.memory_info().rss / 1e6)
            await asyncio.sleep(min(SAMPLE_EVERY_S, bench.sizes.soak_s / 50))
    return samples, (now.events - first.events) / lasted


async def bytes_per_row(settings: Settings) -> list[tuple[str, str]]:
    async with connected(settings) as connection:
        found = await connection.fetch(query("bytes_per_row"))
    return [(f"PostgreSQL per {row['kind']} row", f"{row['bytes']:.0f} bytes of {row['rows']:,} rows") for row in found]
