"""Measures several sections: how an event's cost grows with tables, courses, workers, batches and partitions."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TypeAlias
from uuid import uuid4

from tests.bench.bench import Bench, connected
from tests.bench.drain import Drained, describe_bound, drain, median
from tests.bench.drains import COLUMNS, row
from tests.bench.floor import recorded, scans
from tests.bench.learners import Rows
from tests.bench.result import Figure, Result
from worker.settings import Settings

LOOKUPS = "index lookups only"

Runs: TypeAlias = Mapping[int, list[Drained]]
Run: TypeAlias = Callable[[int, int], Awaitable[Drained]]  # of a value, in a round


async def growing_tables(bench: Bench) -> Result:
    """The tables have progress rows with 20 of 40 lessons each; each event of a batch is for another random row.

    PostgreSQL logs a whole page at its first change after a checkpoint. The drains change pages that are already
    logged, as at full speed, where a page is logged once in millions of events. The column to the right is for one
    drain right after a checkpoint, where most pages change for the first time. The plan is a batch's at each size.
    """
    tables = {size: Rows(size // 20) for size in bench.sizes.lesson_rows}
    return await in_tables(bench, "Lesson rows", tables)


async def longer_courses(bench: Bench) -> Result:
    """The same number of lesson rows is divided into courses of which half the lessons are completed."""
    rows = bench.sizes.lesson_rows_of_courses
    tables = {n: Rows(2 * rows // n, lessons=n, done=n // 2) for n in bench.sizes.course_lessons}
    return await in_tables(bench, "Lessons of a course", tables)


async def in_tables(bench: Bench, title: str, tables: Mapping[int, Rows]) -> Result:
    """Measures drains into the given tables in turn. The tables stay; each round has other events."""
    rounds, events = bench.sizes.series_rounds, bench.sizes.fewer_events
    plans: dict[int, str] = {}
    async with AsyncExitStack() as stack:
        databases = {value: await stack.enter_async_context(bench.filled(rows)) for value, rows in tables.items()}

        async def run(value: int, number: int) -> Drained:
            async with bench.backlog(databases[value], tables[value], events, day=number) as backlog:
                plans[value] = await plan(backlog)
                return await drain(await used_again(backlog), events)

        async def run_behind_checkpoint(value: int, number: int) -> Drained:
            async with connected(databases[value]) as connection:
                await connection.execute("checkpoint")
            return await run(value, rounds + number)

        runs = await series(bench, title, tables, run, rounds)
        behind = await series(bench, f"{title}, behind a checkpoint", tables, run_behind_checkpoint, 1)
    result = table(title, runs)
    result.columns += ("µs/event behind a checkpoint", "plan")
    result.rows = [(*row, f"{behind[v][0].us:.1f}", plans[v]) for v, row in zip(tables, result.rows, strict=True)]
    cost = table(title, behind).figures[title].value
    figure = result.figures[title]
    result.figures[title] = replace(figure, absolute=f"{figure.absolute}; behind a checkpoint {cost:.2f}")
    scanned = [f"{value:,}: {how}" for value, how in plans.items() if how != LOOKUPS]
    result.figures[f"{title}, scans"] = Figure(len(scanned), bound="; ".join(scanned))
    return result


async def plan(backlog: Settings) -> str:
    [calls] = await recorded(backlog, enough=backlog.batch_size)
    return ", ".join(sorted(set(await scans(backlog, calls[0])))) or LOOKUPS


async def used_again(backlog: Settings) -> Settings:
    """Returns settings with a new consumer group, so that the tables of an earlier drain are drained into again."""
    async with connected(backlog) as connection:
        await connection.execute("truncate consumed_offset, bench_progress, bench_began")
    return backlog.model_copy(update={"consumer_group": f"bench-{uuid4().hex[:10]}"})


async def more_workers(bench: Bench) -> Result:
    """All workers are held back until each has its partitions, and start at once. Servers are on the same cores."""
    sizes, rows = bench.sizes, Rows(bench.sizes.rows)
    async with bench.filled(rows) as database, bench.backlog(database, rows, sizes.events) as backlog:

        async def run(workers: int, _: int) -> Drained:
            async with bench.copy(backlog) as fresh:
                return await drain(fresh, sizes.events, workers=workers)

        runs = await series(bench, "Workers", sizes.workers, run, sizes.series_rounds)
    result = table("Workers", runs)
    one, two = median(runs[1]), median(runs[2])
    absolute = f"{two.rate:,.0f}/s against {one.rate:,.0f}/s"
    result.figures = {"two workers/one": Figure(two.rate / one.rate, absolute, describe_bound(two))}
    return result


async def larger_batches(bench: Bench) -> Result:
    """PROGRESS_BATCH_SIZE varies; the events are the same."""
    sizes, rows = bench.sizes, Rows(bench.sizes.rows)
    async with bench.filled(rows) as database, bench.backlog(database, rows, sizes.fewer_events) as backlog:

        async def run(size: int, _: int) -> Drained:
            async with bench.copy(backlog) as fresh:
                return await drain(fresh.model_copy(update={"batch_size": size}), sizes.fewer_events)

        return table("Batch size", await series(bench, "Batch size", sizes.batch_sizes, run, sizes.series_rounds))


async def more_partitions(bench: Bench) -> Result:
    """The number of partitions varies; the events are the same, and one worker has all partitions."""
    sizes, rows = bench.sizes, Rows(bench.sizes.rows)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(bench.filled(rows))
        backlogs = {
            n: await stack.enter_async_context(bench.backlog(database, rows, sizes.fewer_events, partitions=n))
            for n in sizes.partitions
        }

        async def run(partitions: int, _: int) -> Drained:
            async with bench.copy(backlogs[partitions]) as fresh:
                return await drain(fresh, sizes.fewer_events)

        return table("Partitions", await series(bench, "Partitions", sizes.partitions, run, sizes.series_rounds))


async def series(bench: Bench, title: str, values: Iterable[int], run: Run, rounds: int) -> Runs:
    """Runs the values in turn (A B A B), `rounds` times."""
    runs: dict[int, list[Drained]] = defaultdict(list)
    for number in range(rounds):
        for value in values:
            runs[value].append(await run(value, number))
            bench.say(f"  {number + 1}: {title.lower()} {value:,}: {runs[value][-1].us:.1f} µs/event")
    return runs


def table(title: str, runs: Runs) -> Result:
    """Builds a row for each value, and the figure: the cost at the last value divided by the cost at the first."""
    medians = [median(drained) for drained in runs.values()]
    first, last = medians[0], medians[-1]
    result = Result(title, (title.lower(), *COLUMNS[1:]))
    result.rows = [row(f"{value:,}", drained) for value, drained in runs.items()]
    absolute = f"{last.us:.1f} µs against {first.us:.1f} µs"
    bound = f"{last.wal:.1f} kB of WAL per event; {describe_bound(last)}"
    result.figures = {title: Figure(last.us / first.us, absolute, bound)}
    return result
