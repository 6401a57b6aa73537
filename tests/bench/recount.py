"""Measures one section: a large course is published again while learners go on, and all its rows are recounted."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import psutil

from events import CourseCatalogPublisher
from events.models import LessonEvent
from tests.bench.bench import Bench, Record, connected, query, records
from tests.bench.catalog import PUBLISHED, build_version, publish_first_versions
from tests.bench.drain import require_running, stop
from tests.bench.latency import Seen, Sent, listening, percentile, send_at_a_steady_rate
from tests.bench.learners import Rows, in_time, lesson_id
from tests.bench.machine import server_processes
from tests.bench.result import Figure, Result
from tests.bench.shares import Shares
from tests.processes import WorkerProcess, eventually
from worker.kafka.client import client_arguments
from worker.repair.recount import Scope, Verify, connect_to_recount
from worker.settings import Settings

RATE = 500
LONGEST_S = 2 * 60 * 60
LOOK_EVERY_S = 0.2
SAY_EVERY_S = 60
KEPT = 6  # lessons of the second version, of the LESSONS of the first
LESSONS = 10
BEFORE, MEANWHILE = "before", "while rows are recounted"


@dataclass(frozen=True, slots=True)
class Phase:
    """Holds the milliseconds until each event of a phase was visible, and the shares of the cores meanwhile."""

    visible: list[float]
    shares: str


@dataclass(frozen=True, slots=True)
class Span:
    """Holds when a phase began and ended, by `time.perf_counter`, and the shares of the cores meanwhile."""

    began: float
    ended: float
    shares: str


@dataclass(frozen=True, slots=True)
class Recounted:
    """Holds what came of a recount: its duration by the database's clock, and which rows are not as they must be."""

    rows: int
    changed: int
    completed: int
    seconds: float
    missed: int
    wrong: int


async def republished(bench: Bench) -> Result:
    """One course has all the rows. Its second version is published while events come at 500/s, for one worker.

    Of ten learners, nine have completed five lessons of ten, and one has six. The second version has these six lessons
    alone, so it completes the course for every tenth learner, and gives all others another percentage. The events
    are of random rows and lessons; visible is what it is in the section "Latency". Afterwards each row must have been
    judged by the second version (else it is missed), `verify` must find nothing, and complete must be who has completed
    the six lessons, counted anew (else it is wrong).
    """
    number = bench.sizes.rows_recounted
    tenth = Rows(number // 10, LESSONS, done=KEPT, users="ahead", courses=1, version=1)
    groups = [Rows(number - tenth.rows, LESSONS, done=KEPT - 1, courses=1, version=1), tenth]
    async with bench.filled(*groups) as database, bench.topics(database) as settings:
        await publish_first_versions(settings, tenth)
        phases = await published_under_load(bench, settings, groups)
        recounted = await look_back(bench, settings, tenth.course_ids[0])
    result = Result("Recount", ("500 events/s", "events", "p50 ms", "p99 ms", "max ms", "meanwhile"))
    for name, phase in phases.items():
        p50, p99 = (percentile(phase.visible, percent) for percent in (50, 99))
        times = f"{p50:.1f}", f"{p99:.1f}", f"{max(phase.visible):.0f}"
        result.rows.append((name, f"{len(phase.visible):,}", *times, phase.shares))
    result.figures = build_figures(phases, recounted)
    return result


def build_figures(phases: dict[str, Phase], recounted: Recounted) -> dict[str, Figure]:
    before, meanwhile = (percentile(phases[name].visible, 99) for name in (BEFORE, MEANWHILE))
    what = (
        f"{recounted.rows:,} rows, of which {recounted.changed:,} changed and {recounted.completed:,} became complete"
    )
    shares = phases[MEANWHILE].shares
    return {
        "recount minutes": Figure(recounted.seconds / 60, what, shares),
        "p99 recount/without": Figure(meanwhile / before, f"{meanwhile:.1f} ms against {before:.1f} ms", shares),
        "recount missed": Figure(recounted.missed, f"of {recounted.rows:,}"),
        "recount wrong": Figure(recounted.wrong, f"of {recounted.rows:,}"),
    }


async def published_under_load(bench: Bench, settings: Settings, groups: Sequence[Rows]) -> dict[str, Phase]:
    """Publishes the second version under a steady load, and returns the phases when its recount is finished."""
    seen, ended = Seen(), asyncio.Event()
    async with listening(settings, seen) as connection, worker_of(settings) as worker:
        await connection.execute("checkpoint")
        processes = server_processes(settings.kafka_bootstrap_servers, connection)
        processes["worker"] = psutil.Process(worker.process.pid)
        async with asyncio.TaskGroup() as load:
            sending = load.create_task(send_at_a_steady_rate(settings, until(ended, groups), RATE))
            await asyncio.sleep(bench.sizes.warm_up_s)
            spans = {BEFORE: await watch(asyncio.sleep(bench.sizes.latency_s), processes)}
            republishing = republish(bench, settings, connection, worker, groups[0].course_ids[0])
            spans[MEANWHILE] = await watch(republishing, processes)
            ended.set()
        sent = sending.result()

        async def all_seen() -> bool:
            return seen.has(sent)

        await eventually(all_seen)
        await stop(worker)
    return {name: Phase(times_of(seen, sent, span), span.shares) for name, span in spans.items()}


async def watch(work: Coroutine[Any, Any, object], processes: dict[str, psutil.Process | None]) -> Span:
    """Awaits the work, and says when it was done and who had the cores meanwhile."""
    shares, began = Shares(**processes), time.perf_counter()
    await work
    return Span(began, time.perf_counter(), shares.describe())


def times_of(seen: Seen, sent: list[Sent], span: Span) -> list[float]:
    """Returns the milliseconds until the events were visible that were sent in this span."""
    return [1000 * (seen.visible_at(each) - each.at) for each in sent if span.began <= each.at < span.ended]


@asynccontextmanager
async def worker_of(settings: Settings) -> AsyncIterator[WorkerProcess]:
    """Runs a worker until the end of the block, and yields it when it is ready."""
    with WorkerProcess(settings) as worker:

        async def ready() -> bool:
            return (await worker.get("/ready")).status_code == 200

        await eventually(ready)
        yield worker


def until(ended: asyncio.Event, groups: Sequence[Rows]) -> Iterator[tuple[LessonEvent, Record]]:
    """Yields events of random rows with their records, until `ended` is set."""
    for event, at in in_time(traffic(groups, random.Random(0))):
        if ended.is_set():
            return
        [record] = records([(event, at)])
        yield event, record


def traffic(groups: Sequence[Rows], rng: random.Random) -> Iterator[LessonEvent]:
    weights = [rows.rows for rows in groups]
    while True:
        [rows] = rng.choices(groups, weights)
        yield rows.event(rng, rng.randrange(rows.rows), rng.randrange(rows.lessons))


async def republish(
    bench: Bench, settings: Settings, connection: asyncpg.Connection, worker: WorkerProcess, course: UUID
) -> None:
    """Publishes the second version, and returns when its recount is finished."""
    topic = settings.course_catalog_topic
    async with CourseCatalogPublisher(**client_arguments(settings), topic=topic, source="bench") as publisher:
        await publisher.publish(build_version(course, 2, range(KEPT)), occurred_at=PUBLISHED)
    said = time.monotonic()
    async with asyncio.timeout(LONGEST_S):
        while not await connection.fetchval("select finished_at from course_recount where version = 2"):
            require_running([worker])
            if time.monotonic() - said > SAY_EVERY_S:
                said = time.monotonic()
                bench.say(f"  {await connection.fetchval('select rows_seen from course_recount'):,} rows recounted")
            await asyncio.sleep(LOOK_EVERY_S)


async def look_back(bench: Bench, settings: Settings, course: UUID) -> Recounted:
    """Reads what the recount has done, and compares every row with what it must be."""
    bench.say("  comparing every row")
    async with connected(settings) as connection:
        done = await connection.fetchrow("select * from course_recount")
        lessons = [lesson_id(lesson) for lesson in range(KEPT)]
        compared = await connection.fetchrow(query("wrongly_complete"), course, lessons, done["version"])
    connection = await connect_to_recount(settings)
    try:
        differences = [each async for each in Verify(connection, Scope(), bench.say).differences()]
    finally:
        await connection.close()
    return Recounted(
        rows=done["rows_seen"],
        changed=done["rows_changed"],
        completed=done["completed"],
        seconds=(done["finished_at"] - done["started_at"]).total_seconds(),
        missed=compared["missed"],
        wrong=compared["wrong"] + len(differences),
    )
