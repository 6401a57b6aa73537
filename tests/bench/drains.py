"""Measures two sections: our worker against the floor, with events spread evenly and in bursts."""

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from tests.bench.bench import Bench
from tests.bench.drain import Drained, describe_bound, drain, median, spread
from tests.bench.floor import apply, recorded
from tests.bench.learners import Order, Rows, bursty, even
from tests.bench.machine import CORES
from tests.bench.result import Figure, Result
from worker.intake.lane import LANES
from worker.settings import Settings

Contender: TypeAlias = Callable[[Settings], Awaitable[Drained]]
COLUMNS = (
    "contender",
    "events/s",
    "all rounds",
    "µs/event",
    "CPU µs/event: database",
    "contender",
    "broker",
    "WAL kB/event",
)


async def against_the_floor(bench: Bench) -> Result:
    """Events are spread evenly: each event of a batch is for another progress row."""
    return await _against_the_floor(bench, even, "even")


async def against_the_floor_in_bursts(bench: Bench) -> Result:
    """Events come in bursts, as real learners' do: 2,000 events are for about 760 progress rows."""
    return await _against_the_floor(bench, bursty, "bursty")


async def _against_the_floor(bench: Bench, order: Order, name: str) -> Result:
    sizes, rows = bench.sizes, Rows(bench.sizes.rows)
    async with bench.filled(rows) as database, bench.backlog(database, rows, sizes.events, order=order) as backlog:
        one, several = await recorded(backlog), await recorded(backlog, LANES)
        contenders = {
            "floor": lambda fresh: apply(fresh, one, sizes.events),
            f"floor, {LANES} connections": lambda fresh: apply(fresh, several, sizes.events),
            "ours": lambda fresh: drain(fresh, sizes.events),
        }
        runs = await in_turn(bench, backlog, contenders)
    floor, wide, ours = (median(run) for run in runs.values())
    result = Result(f"Drain, {name}", COLUMNS, [row(name, run) for name, run in runs.items()])
    result.figures = {
        f"ours/floor {name}": Figure(ours.rate / floor.rate, compared(ours, floor), describe_bound(ours)),
        f"ours/wide floor {name}": Figure(ours.rate / wide.rate, compared(ours, wide), describe_bound(ours)),
        f"worker CPU {name}": Figure(ours.cpu.contender, bound=f"its stages, waiting included: {ours.stages}"),
    }
    return result


def compared(ours: Drained, floor: Drained) -> str:
    """Describes both rates, and the ideal: all cores at the processor time per event of broker, database and worker."""
    ideal = CORES * 1e6 / ours.cpu.all / floor.rate if ours.cpu.all else math.nan
    return f"{ours.rate:,.0f}/s against {floor.rate:,.0f}/s; ideal {ideal:.2f}"


async def in_turn(bench: Bench, backlog: Settings, contenders: Mapping[str, Contender]) -> dict[str, list[Drained]]:
    """Runs the contenders in turn (A B A B), each on a fresh copy of the database."""
    runs: dict[str, list[Drained]] = defaultdict(list)
    for number in range(bench.sizes.rounds):
        for name, contender in contenders.items():
            async with bench.copy(backlog) as fresh:
                runs[name].append(await contender(fresh))
            bench.say(f"  {number + 1}: {name} {runs[name][-1].rate:,.0f}/s")
    return runs


def row(name: str, runs: list[Drained]) -> tuple[str, ...]:
    run = median(runs)
    cpu = run.cpu
    figures = f"{run.rate:,.0f}", spread(runs), f"{run.us:.1f}"
    return name, *figures, f"{cpu.database:.1f}", f"{cpu.contender:.1f}", f"{cpu.broker:.1f}", f"{run.wal:.1f}"
