"""How fast each is on this machine, one after the other on the same events; ours beside them.

course-progress stack -- python -m tests.bench.peers --events 50000

From the first progress seen to the last event applied, so that nobody's start counts. Kafka Connect is looked at every
quarter of a second: with few events its figure is rough.
"""

import argparse
import asyncio
import os
import platform
import time
from dataclasses import dataclass
from uuid import uuid4

import asyncpg

from events.producer import Producer
from tests.bench.peers import connect_jdbc, sample
from tests.bench.peers.contender import CONTENDERS, EMPTY, Contender
from tests.workers import WorkerProcess
from worker.migrate import migrate
from worker.settings import Settings
from worker.topics import create_missing

ROWS, LESSONS = 50_000, 40
STILL_S = 120


async def publish(settings: Settings, happened: list[sample.Happened]) -> None:
    """The same events, to our topic and in the form that Connect needs."""
    await create_missing(settings)
    await connect_jdbc.create_topic(settings)
    async with Producer(settings.kafka_bootstrap_servers, linger_ms=5, max_batch_size=262_144) as producer:
        for start in range(0, len(happened), 5000):
            some = happened[start : start + 5000]
            await producer.send_all([sample.record(settings, event, at) for event, at in some])
            await producer.send_all(list(connect_jdbc.records(settings, some)))


async def race(contender: Contender, settings: Settings, events: int) -> float:
    """Events per second, from empty tables."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    await connection.execute(EMPTY)
    with contender.start(settings) as process:
        run = Run(contender, settings, connection, process)
        first_at, first = await run.reaches(1)
        last_at, last = await run.reaches(events)
        process.stop()
    await connection.close()
    return (last - first) / (last_at - first_at)


@dataclass(frozen=True)
class Run:
    contender: Contender
    settings: Settings
    connection: asyncpg.Connection
    process: WorkerProcess

    async def reaches(self, events: int) -> tuple[float, int]:
        """When that many were seen to be applied, and how many. Raises RuntimeError when nothing moves any more."""
        applied, moved_at = -1, time.monotonic()
        while applied < events:
            before, applied = applied, await self.contender.applied(self.settings, self.connection)
            moved_at = time.monotonic() if applied > before else moved_at
            if time.monotonic() > moved_at + STILL_S:
                raise RuntimeError(f"{self.contender.name} stands still at {applied}: {self.process.log}")
            await asyncio.sleep(self.contender.look_every_s)
        return moved_at, applied


async def main(events: int, only: str) -> None:
    mark = uuid4().hex[:8]
    settings = Settings(lesson_events_topic=f"bench-{mark}", http_port=0)
    await migrate(settings)
    await publish(settings, list(sample.happened(events, ROWS, LESSONS)))
    print(f"{events:,} events over {ROWS:,} progress rows; {os.cpu_count()} cores, {platform.machine()}")
    for contender in CONTENDERS:
        if only and contender.name not in only.split(","):
            continue
        if contender.lacks:
            print(f"{contender.name:18} {contender.lacks}")
            continue
        own = settings.model_copy(update={"consumer_group": f"{contender.name}-{mark}"})
        print(f"{contender.name:18} {await race(contender, own, events):>10,.0f} events/s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--only", default="", help="names, comma-separated")
    options = parser.parse_args()
    asyncio.run(main(options.events, options.only))
