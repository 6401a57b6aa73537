"""Measures one section: our worker, its alternatives (tests/bench/peers), and what each loses by one error."""

import ast
import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import asyncpg

from events.producer import OutgoingRecord, Producer
from tests.bench.bench import Bench, connected, publish, query, records
from tests.bench.drain import Drained, Seen, describe_bound, follow_drain, median, read_applied, stop
from tests.bench.drains import COLUMNS, in_turn, row
from tests.bench.learners import Rows, even, in_time, strangers
from tests.bench.peers import connect_jdbc, mishap
from tests.bench.peers.contender import CONTENDERS, OURS, Contender
from tests.bench.result import Figure, Result
from tests.processes import WorkerProcess
from worker.devstack.kafka_jars import find_jars
from worker.kafka.client import client_arguments
from worker.kafka.topics import admin_client
from worker.settings import Settings

PEERS = Path(connect_jdbc.__file__).parent
KILLED_ONCE = ("tests.faults.launch", "kill-after-fetch:3", "worker")


async def against_peers(bench: Bench) -> Result:
    """The contenders drain the same events on the same servers, one after the other.

    Gone after one error: every event adds a lesson row, and a handler raises once in the middle of them. A contender
    that ends because of it is started again. The events whose lesson row is missing when nothing moves any more are
    gone. Ours is killed with a batch in hand instead, and Kafka Connect finds a record that it cannot read.
    """
    find_jars(bench.say, connect_jdbc.POM)
    for contender in CONTENDERS:
        if contender.lacks:
            raise RuntimeError(f"{contender.name}: {contender.lacks}")
    sizes, rows = bench.sizes, Rows(bench.sizes.rows)
    async with bench.filled(rows) as database, bench.backlog(database, rows, sizes.events) as backlog:
        happened = islice(in_time(even(rows, random.Random(0))), sizes.events)
        async with lesson_rows(backlog, connect_jdbc.records(backlog, happened)):
            drains = {contender.name: partial(drain, bench, contender) for contender in CONTENDERS}
            runs = await in_turn(bench, backlog, drains)
    gone = {}
    for contender in CONTENDERS:
        gone[contender.name] = await lost(bench, contender)
        bench.say(f"  {contender.name}: gone {gone[contender.name]}")
    return _result(runs, gone)


def _result(runs: dict[str, list[Drained]], gone: dict[str, str]) -> Result:
    ours = median(runs[OURS])
    result = Result("Ours and the alternatives", (*COLUMNS, "gone after one error"))
    for name, drained in runs.items():
        result.rows.append((*row(title(name), drained), gone[name]))
        rate = median(drained).rate
        absolute = f"{ours.rate:,.0f}/s against {rate:,.0f}/s"
        result.figures[f"ours/{name}"] = Figure(ours.rate / rate, absolute, describe_bound(ours))
    return result


def title(name: str) -> str:
    """Returns the title in the docstring of a peer's module. It parses the file, because its imports may be missing."""
    if name == OURS:
        return name
    docstring = ast.get_docstring(ast.parse((PEERS / f"{name}.py").read_text())) or name
    return docstring.splitlines()[0].partition(": ")[0].rstrip(".")


async def drain(bench: Bench, contender: Contender, fresh: Settings) -> Drained:
    sizes = bench.sizes
    async with connected(fresh) as connection:
        if not contender.whole_job:
            await connection.execute(query("began_with_lessons"))

        async def look() -> Seen:
            return replace(await read_applied(connection), events=await contender.applied(fresh, connection))

        with contender.start(fresh) as process:
            drained = await follow_drain(
                fresh, connection, [process], sizes.events, sizes.longest_drain_s, look, contender.look_every_s
            )
            await stop(process)
    return drained


@asynccontextmanager
async def lesson_rows(settings: Settings, to_send: Iterable[OutgoingRecord]) -> AsyncIterator[None]:
    """Creates the topic that Kafka Connect reads, with these records, and deletes it at the end."""
    topic = connect_jdbc.topic(settings)
    to_send = iter(to_send)
    await connect_jdbc.create_topic(settings)
    async with Producer(**client_arguments(settings), linger_ms=20) as producer:
        while chunk := list(islice(to_send, 5000)):
            await producer.send_all(chunk)
    yield
    async with admin_client(settings) as admin:
        await admin.delete_topics([topic])


async def lost(bench: Bench, contender: Contender) -> str:
    """Measures how many events are missing after one error in the middle of them."""
    events = bench.sizes.events_of_an_error
    happened = list(islice(in_time(strangers()), events))
    async with bench.filled() as database, bench.topics(database) as settings, connected(settings) as connection:
        await publish(settings, records(happened))
        if contender.name == OURS:
            return f"{events - await there_after_a_kill(settings, connection):,} of {events:,}"
        if contender.whole_job:
            return f"{await mishap.gone(contender, settings, connection, happened):,} of {events:,}"
        rows = list(connect_jdbc.records(settings, happened))
        rows.insert(events // 2, replace(rows[0], value=connect_jdbc.REFUSED))
        async with lesson_rows(settings, rows):
            waiting = await mishap.gone(contender, settings, connection, happened)
            return f"none; {waiting:,} of {events:,} wait for an operator"


async def there_after_a_kill(settings: Settings, connection: asyncpg.Connection) -> int:
    """Kills a worker in the middle, lets the next one finish, and returns the number of lesson rows."""
    with WorkerProcess(settings, module=KILLED_ONCE) as killed:
        await asyncio.to_thread(killed.wait)
    with WorkerProcess(settings, "--until-idle") as next_one:
        await asyncio.to_thread(next_one.wait)
    return await connection.fetchval("select count(*) from lesson_progress")
