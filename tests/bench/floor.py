"""Measures what PostgreSQL can do: executes the statements of a worker's batches, which are prepared beforehand."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.bench.bench import connected
from tests.bench.drain import Drained, read_applied
from tests.bench.machine import Meter
from worker.decode import decode
from worker.kafka.client import client_arguments
from worker.progress.fold import fold
from worker.progress.store import Store
from worker.settings import Settings
from worker.stream.batch import gather

Call: TypeAlias = tuple[str, tuple[Any, ...]]

BIG = ("lesson_progress", "course_progress_all")


class Recorder:
    """Stands in for the store's connection: keeps the statements, and answers as if they had been executed."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def is_closed(self) -> bool:
        return False

    async def fetchrow(self, statement: str, *arguments: Any) -> dict[str, Any]:
        self.calls.append((statement, arguments))
        return {"won": True, "announced": 0}


async def recorded(settings: Settings, lanes: int = 1, enough: float = math.inf) -> list[list[Call]]:
    """Returns, per lane, the statements with arguments that a worker would execute for the records of a topic.

    They cover `enough` events of each lane, or slightly more.
    """
    topic = settings.lesson_events_topic
    partitions = [TopicPartition(topic, p) for p in range(settings.topic_partitions)]
    return [await _recorded(settings, partitions[lane::lanes], enough) for lane in range(lanes)]


async def _recorded(settings: Settings, partitions: list[TopicPartition], enough: float) -> list[Call]:
    recorder = Recorder()
    store = Store(settings)
    store._connection = recorder
    expected: dict[TopicPartition, int | None] = dict.fromkeys(partitions)
    consumer = AIOKafkaConsumer(**client_arguments(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        enough = min(enough, sum(ends.values()))
        while sum(offset or 0 for offset in expected.values()) < enough:
            fetched = await consumer.getmany(timeout_ms=200, max_records=settings.batch_size)
            batch = gather(fetched, expected, decode)
            if batch.spans:
                await store.apply(fold(batch.occurrences), batch.spans)
                expected |= {tp: span.next for tp, span in batch.spans.items()}
    finally:
        await consumer.stop()
    return recorder.calls


async def apply(settings: Settings, lanes: list[list[Call]], events: int) -> Drained:
    """Executes the statements, each lane's over a connection like the worker's, while nothing else runs."""
    async with connected(settings) as watch, AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(writing(settings)) for _ in lanes]
        meter = Meter(settings.kafka_bootstrap_servers, watch, [])
        first, cpu = await read_applied(watch), meter.read()
        own, started = time.process_time(), time.perf_counter()
        await asyncio.gather(*map(_execute, connections, lanes))
        took, own = time.perf_counter() - started, time.process_time() - own
        used = replace(meter.read().per_event(cpu, events), contender=own / events * 1e6)
        last = await read_applied(watch)
        return Drained(events, took, used, (last.wal_kb - first.wal_kb) / events)


async def _execute(connection: asyncpg.Connection, calls: list[Call]) -> None:
    for statement, arguments in calls:
        row = await connection.fetchrow(statement, *arguments)
        assert row["won"], "the tables are not fresh"


async def scans(settings: Settings, call: Call) -> list[str]:
    """Returns the nodes of the statement's plan that read a big table without looking rows up by an index."""
    statement, arguments = call
    async with writing(settings) as connection:
        plan = await planned(connection, statement, len(arguments))
    big = [node for node in nodes(plan) if node.get("Relation Name", "").startswith(BIG)]
    return [f"{node['Node Type']} on {node['Relation Name']}" for node in big if not looks_up(node)]


async def planned(connection: asyncpg.Connection, statement: str, parameters: int) -> dict[str, Any]:
    """Returns the plan that this session makes for the statement when it is prepared again."""
    await connection.execute(f"prepare planned as {statement}")
    values = ", ".join(["null"] * parameters)
    [described] = json.loads(await connection.fetchval(f"explain (format json) execute planned ({values})"))
    await connection.execute("deallocate planned")
    return described["Plan"]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def looks_up(node: dict[str, Any]) -> bool:
    # A bitmap heap scan's condition stands at its child, the scan of the index.
    return node["Node Type"] in ("ModifyTable", "Bitmap Heap Scan") or "Index Cond" in node or "TID Cond" in node


@asynccontextmanager
async def writing(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Opens a connection with the settings of the worker's own."""
    store = Store(settings)
    try:
        yield await store._ensure_connected()
    finally:
        await store.close()
