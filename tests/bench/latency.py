"""Measures one section: the time from handing an event to Kafka until others see its effect."""

import asyncio
import random
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice
from statistics import median
from uuid import UUID

import asyncpg
import psutil
from confluent_kafka import KafkaError, KafkaException, Message

from events.models import CourseCompleted, LessonCompleted, LessonEvent
from events.subscriber import CourseEventSubscriber
from tests.bench.bench import Bench, Record, connected, librdkafka, query, records
from tests.bench.drain import read_stages, stop
from tests.bench.learners import Happened, Rows, even, in_time, lesson_id
from tests.bench.machine import server_processes
from tests.bench.result import Figure, Result
from tests.bench.shares import Shares
from tests.processes import WorkerProcess, eventually
from worker.kafka.client import client_arguments
from worker.settings import Settings

RATES = (500, 2000)
TURN_S = 0.005
COMPLETIONS = 0.1  # of all events


@dataclass(frozen=True, slots=True)
class Sent:
    """Holds when an event was handed to the producer, and where Kafka stored it."""

    user: UUID
    completes: bool
    at: float
    partition: int
    offset: int


@dataclass
class Seen:
    """Notes what became visible when, by the same clock as `Sent`."""

    moved: dict[int, tuple[list[int], list[float]]] = field(default_factory=lambda: defaultdict(lambda: ([], [])))
    completed: dict[UUID, float] = field(default_factory=dict)

    def on_moved(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        partition, next_offset = map(int, str(payload).split())
        offsets, times = self.moved[partition]
        offsets.append(next_offset)
        times.append(time.perf_counter())

    async def receive(self, subscriber: CourseEventSubscriber) -> None:
        async for received in subscriber:
            if not isinstance(received.event, CourseCompleted):
                continue
            self.completed.setdefault(received.event.user_id, time.perf_counter())

    def has(self, sent: list[Sent]) -> bool:
        return all(self._has(each) for each in sent)

    def _has(self, sent: Sent) -> bool:
        offsets, _ = self.moved[sent.partition]
        visible = bool(offsets) and offsets[-1] > sent.offset
        return visible and (not sent.completes or sent.user in self.completed)

    def visible_at(self, sent: Sent) -> float:
        offsets, times = self.moved[sent.partition]
        return times[bisect_right(offsets, sent.offset)]


def traffic(rows: Rows, rng: random.Random) -> Iterator[LessonEvent]:
    """Yields a drain's events, except that every tenth event completes a course of one lesson."""
    usual, newcomers = even(rows, rng), Rows(0, users="newcomer")
    for number in count():
        if rng.random() < COMPLETIONS:
            user, course = newcomers.key(number)
            yield LessonCompleted(user_id=user, course_id=course, lesson_id=lesson_id(0), total_lessons=1)
        else:
            yield next(usual)


@dataclass(frozen=True, slots=True)
class Round:
    """Holds the milliseconds of each event, the stages of a batch, and the shares of the cores."""

    visible: list[float]
    received: list[float]
    stages: str
    shares: str


def completes(event: LessonEvent) -> bool:
    return isinstance(event, LessonCompleted) and event.total_lessons == 1


async def latency(bench: Bench) -> Result:
    """Events come at a steady rate in twelve partitions, for one worker. Time starts when the producer gets an event.

    Visible: when a listening session is notified of the commit, by a trigger on the stored offsets. Received: when
    CourseEventSubscriber hands out the CourseCompleted; every tenth event completes a course. The harness does all
    this on the same cores. Rounds come in turn; the median of their p50 and p99 counts, and the greatest max.
    """
    rows = Rows(bench.sizes.rows)
    found: dict[int, list[Round]] = defaultdict(list)
    async with bench.filled(rows) as database:
        for number in range(bench.sizes.rounds):
            for rate in RATES:
                async with bench.copy(database) as fresh, bench.topics(fresh) as settings:
                    found[rate].append(await measured(bench, settings, traffic(rows, random.Random(number)), rate))
                bench.say(f"  {number + 1}: {rate}/s, p99 visible {percentile(found[rate][-1].visible, 99):.0f} ms")
    result = Result("Latency", ("events/s", "until", "p50 ms", "p99 ms", "max ms", "on average"))
    for rate, rounds in found.items():
        add(result, rate, "visible", [each.visible for each in rounds], rounds[-1])
        add(result, rate, "CourseCompleted received", [each.received for each in rounds], rounds[-1])
    return result


def add(result: Result, rate: int, what: str, rounds: list[list[float]], last: Round) -> None:
    p50, p99 = (median(percentile(times, p) for times in rounds) for p in (50, 99))
    result.rows.append((f"{rate:,}", what, f"{p50:.1f}", f"{p99:.1f}", f"{max(map(max, rounds)):.0f}", last.stages))
    result.figures[f"p99 {what} {rate}"] = Figure(p99, f"p50 {p50:.1f} ms", last.shares)


async def measured(bench: Bench, settings: Settings, events: Iterator[LessonEvent], rate: int) -> Round:
    warm_up_s = bench.sizes.warm_up_s
    happened = list(islice(in_time(events), int(rate * (warm_up_s + bench.sizes.latency_s))))
    seen = Seen()
    async with looking(settings, seen) as connection:
        with WorkerProcess(settings) as worker:

            async def ready() -> bool:
                return (await worker.get("/ready")).status_code == 200

            async def all_seen() -> bool:
                return seen.has(sent)

            await eventually(ready)
            servers = server_processes(settings.kafka_bootstrap_servers, connection)
            shares = Shares(**servers, worker=psutil.Process(worker.process.pid))
            sent = await at_a_steady_rate(settings, happened, rate)
            await eventually(all_seen)
            had = shares.describe()
            spent = await an_average_batch(worker)
            await stop(worker)
    counted = sent[int(rate * warm_up_s) :]
    visible = [1000 * (seen.visible_at(each) - each.at) for each in counted]
    received = [1000 * (seen.completed[each.user] - each.at) for each in counted if each.completes]
    return Round(visible, received, spent, had)


@asynccontextmanager
async def listening(settings: Settings, seen: Seen) -> AsyncIterator[asyncpg.Connection]:
    """Notes what becomes visible, until the end of the block."""
    async with connected(settings) as connection:
        await connection.execute(query("notify"))
        await connection.add_listener("bench_moved", seen.on_moved)
        yield connection


@asynccontextmanager
async def looking(settings: Settings, seen: Seen) -> AsyncIterator[asyncpg.Connection]:
    """Notes what becomes visible and what is received, until the end of the block."""
    topic = settings.course_events_topic
    async with (
        listening(settings, seen) as connection,
        CourseEventSubscriber(
            **client_arguments(settings), group_id=settings.consumer_group + "-certificates", topic=topic
        ) as course_events,
    ):
        receiving = asyncio.create_task(seen.receive(course_events), name="course events")
        try:
            yield connection
        finally:
            receiving.cancel()
            await asyncio.wait({receiving})


async def at_a_steady_rate(settings: Settings, happened: list[Happened], rate: int) -> list[Sent]:
    """Publishes events as `send_at_a_steady_rate`, whose records it makes beforehand."""
    made = list(records(happened))
    return await send_at_a_steady_rate(settings, zip((event for event, _ in happened), made, strict=True), rate)


async def send_at_a_steady_rate(
    settings: Settings, ready_made: Iterator[tuple[LessonEvent, Record]], rate: int
) -> list[Sent]:
    """Publishes events without waiting for earlier ones, and returns them in the order of sending.

    It uses librdkafka, because aiokafka's producer took a third of the harness's processor time. Raises KafkaException.
    """
    sent: list[Sent] = []

    def stored(event: LessonEvent, at: float, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            raise KafkaException(error)
        sent.append(Sent(event.user_id, completes(event), at, message.partition(), message.offset()))

    producer = librdkafka(settings, {"enable.idempotence": True, "linger.ms": 0})
    began, number, ended = time.perf_counter(), 0, False
    try:
        while not ended or len(producer):
            due = int((time.perf_counter() - began) * rate)
            turn = list(islice(ready_made, due - number))
            ended = len(turn) < due - number
            for event, record in turn:
                record.produce(producer, settings.lesson_events_topic, partial(stored, event, time.perf_counter()))
            number = due
            producer.poll(0)
            await asyncio.sleep(TURN_S)
    finally:
        producer.flush(1)  # a cancelled task leaves the queue empty; librdkafka would complain otherwise
    return sorted(sent, key=lambda each: each.at)


async def an_average_batch(worker: WorkerProcess) -> str:
    """Describes the worker's average batch by its own metrics: its size and the time of its stages."""
    size = await worker.metric("progress_batch_records_")
    return f"a batch of {size['sum'] / size['count']:.0f} events: {await read_stages(worker, size['count'])}"


def percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
