"""Section: ours and what a user would otherwise take (tests/bench/peers), and what each loses of one error."""

import ast
import asyncio
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import asyncpg

from events.producer import Producer
from tests.bench.bench import Bench, Process, connected, publish, query, records, running
from tests.bench.drain import WORKER, Drained, Look, Seen, applied, bound, followed, median
from tests.bench.drains import COLUMNS, in_turn, row
from tests.bench.learners import Rows, even, in_time, strangers
from tests.bench.result import Figure, Result
from worker.kafka import client
from worker.settings import Settings

PEERS = Path(__file__).parent / "peers"
PYTHON = Path(__file__).parents[2] / ".venv-bench/bin/python"
WITH_OFFSETS = ("quix_sink", "faststream_batch", "faust_take", "faust_events", "aiokafka_events")
LESSON_ROWS_ONLY = "connect_jdbc"
KILLED_ONCE = ("tests.faults.launch", "kill-after-fetch:3", "worker")
LONGEST_SILENCE_S = 70  # a group whose member ended without a word waits for its session timeout


def title(peer: str) -> str:
    """The first line of its module, which may need what is not installed here."""
    module = ast.parse((PEERS / f"{peer}.py").read_text())
    return (ast.get_docstring(module) or peer).splitlines()[0].rstrip(".")


async def against_peers(bench: Bench) -> Result:
    """The same events on the same servers, one contender after the other."""
    sizes, rows = bench.sizes, Rows(bench.sizes.rows)
    async with bench.filled(rows) as database, bench.backlog(database, rows, sizes.events) as backlog:
        contenders = {"ours": partial(by_offsets, bench, WORKER, sys.executable)}
        for peer in WITH_OFFSETS:
            contenders[peer] = partial(by_offsets, bench, (module(peer),), str(PYTHON))
        await publish_lesson_rows(backlog, rows, sizes.events)
        contenders[LESSON_ROWS_ONLY] = partial(by_committed_offsets, bench)
        runs = await in_turn(bench, backlog, contenders)
    gone = {name: await events_gone(bench, name) for name in ("ours", *WITH_OFFSETS)}
    return _result(runs, gone)


def _result(runs: dict[str, list[Drained]], gone: dict[str, str]) -> Result:
    ours = median(runs["ours"])
    result = Result("Ours and the alternatives", (*COLUMNS, "gone after one error"))
    for name, drained in runs.items():
        called = name if name == "ours" else title(name)
        result.rows.append((*row(called, drained), gone.get(name, "none; stands still until somebody acts")))
        rate = median(drained).rate
        told = f"{ours.rate:,.0f}/s against {rate:,.0f}/s"
        result.figures[f"ours/{name}"] = Figure(ours.rate / rate, told, bound(ours))
    return result


def module(peer: str) -> str:
    return f"tests.bench.peers.{peer}"


async def by_offsets(bench: Bench, command: Sequence[str], python: str, fresh: Settings) -> Drained:
    """A contender that writes how far it is into the database, in the transaction of its rows."""
    async with connected(fresh) as connection:
        return await _followed(bench, fresh, command, python, partial(applied, connection))


async def by_committed_offsets(bench: Bench, fresh: Settings) -> Drained:
    """Kafka Connect, which writes none: a trigger notes its first statement, and Kafka knows how far it is."""
    from tests.bench.peers import connect_jdbc

    async with connected(fresh) as connection:
        await connection.execute(query("began_with_lessons"))

        async def look() -> Seen:
            return replace(await applied(connection), events=await connect_jdbc.applied(fresh))

        return await _followed(bench, fresh, (module(LESSON_ROWS_ONLY),), sys.executable, look)


async def _followed(bench: Bench, fresh: Settings, command: Sequence[str], python: str, look: Look) -> Drained:
    sizes = bench.sizes
    async with connected(fresh) as connection:
        with running(fresh, *command, python=python) as process:
            drained = await followed(fresh, connection, [process], sizes.events, sizes.longest_drain_s, look)
            await process.stop()
    return drained


async def publish_lesson_rows(settings: Settings, rows: Rows, events: int) -> None:
    """The same events once more, in the form and the topic that Kafka Connect can read."""
    from tests.bench.peers import connect_jdbc

    happened = islice(in_time(even(rows, random.Random(0))), events)
    to_send = connect_jdbc.records(settings, happened)
    async with Producer(**client(settings), linger_ms=20) as producer:
        while chunk := list(islice(to_send, 5000)):
            await producer.send_all(chunk)


async def events_gone(bench: Bench, name: str) -> str:
    """How many of some events, a lesson row each, are missing when one error in the middle is over.

    Ours is killed with a batch in hand, as it has no handler of a user's. Who ends is started again.
    """
    if name == "ours":
        first, again, python = KILLED_ONCE, WORKER, sys.executable
    else:
        first, again, python = (module(name), "--fail-once"), (module(name),), str(PYTHON)
    events = bench.sizes.events_of_an_error
    async with bench.filled(Rows(1, done=1)) as database, bench.topics(database) as settings:
        await publish(settings, islice(records(in_time(strangers())), events))
        async with connected(settings) as connection:
            with running(settings, *first, python=python) as process:
                await at_the_end(connection, events, process)
                ended = process.process.poll() is not None
            if ended:
                with running(settings, *again, python=python) as process:
                    await at_the_end(connection, events, process)
            there = await connection.fetchval("select count(*) - 1 from lesson_progress")
    return f"{events - there:,} of {events:,}"


async def at_the_end(connection: asyncpg.Connection, events: int, process: Process) -> None:
    """Until it has applied the last event of each partition, or ended, or nothing moves any more."""
    seen, silent_since = 0, time.monotonic()
    while process.process.poll() is None and time.monotonic() - silent_since < LONGEST_SILENCE_S:
        now = (await applied(connection)).events
        if now >= events:
            return
        if now > seen:
            seen, silent_since = now, time.monotonic()
        await asyncio.sleep(0.1)
