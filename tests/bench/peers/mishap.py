"""Measures how many events are gone after one handler error in the middle."""

import asyncio
import time

import asyncpg

from tests.bench.peers import connect_jdbc
from tests.bench.peers.contender import Contender
from tests.bench.peers.kafka_offsets import committed, end
from tests.bench.peers.sample import Happened
from tests.processes import WorkerProcess
from worker.settings import Settings

STILL_S, START_S = 20, 45


async def gone(
    contender: Contender, settings: Settings, connection: asyncpg.Connection, happened: list[Happened]
) -> int:
    """Counts the lesson rows that are missing when the peer has committed everything, or does not move any more.

    A peer that ends is started again. The topic holds `happened`, each the completion of another lesson
    (`sample.lessons_completed`). Connect finds `connect_jdbc.REFUSED` in the middle of its topic instead of an error of
    a handler.
    """
    arguments = ["--fail-once"] if contender.whole_job else []
    topic = settings.lesson_events_topic if contender.whole_job else connect_jdbc.topic(settings)
    while True:
        with contender.start(settings, *arguments) as process:
            if await all_committed(process, settings, topic):
                process.stop()
                break
        arguments = []
    return len(happened) - await connection.fetchval("select count(*) from lesson_progress")


async def all_committed(process: WorkerProcess, settings: Settings, topic: str) -> bool:
    """Waits until everything is committed or nothing has moved for STILL_S (True), or the process ended (False)."""
    records, seen, moved_at = await end(settings, topic), 0, time.monotonic()
    while process.process.poll() is None:
        before, seen = seen, await committed(settings, topic)
        moved_at = time.monotonic() if seen > before else moved_at
        if seen == records or time.monotonic() > moved_at + (STILL_S if seen else START_S):
            return True
        await asyncio.sleep(0.2)
    return False
