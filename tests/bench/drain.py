"""How fast one worker drains a backlog: from its first fetch to its last commit.

course-progress stack -- python -m tests.bench.drain
"""

import asyncio
import os
import platform
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg

from events.envelope import binary
from events.models import CourseAccessed, LessonCompleted, LessonEvent, LessonUncompleted
from events.producer import OutgoingRecord, Producer
from tests.workers import WorkerProcess
from worker.settings import Settings

EVENTS, ROWS, LESSONS, RUNS = 200_000, 50_000, 40, 3
START = datetime(2026, 1, 1, tzinfo=UTC)


def an_event(rng: random.Random, user: UUID, course: UUID) -> LessonEvent:
    """70 % completed, 25 % accessed, 5 % un-completed, spread evenly."""
    lesson = f"lesson-{rng.randrange(LESSONS):029}"
    kind = rng.choices([LessonCompleted, CourseAccessed, LessonUncompleted], [70, 25, 5])[0]
    if kind is CourseAccessed:
        return CourseAccessed(user_id=user, course_id=course, lesson_id=lesson)
    return kind(user_id=user, course_id=course, lesson_id=lesson, total_lessons=LESSONS)


async def publish(settings: Settings) -> None:
    rng = random.Random(1)
    rows = [(uuid4(), uuid4()) for _ in range(ROWS)]
    async with Producer(settings.kafka_bootstrap_servers, linger_ms=5, max_batch_size=262_144) as producer:
        for _ in range(EVENTS // 5000):
            records = []
            for _ in range(5000):
                event = an_event(rng, *rng.choice(rows))
                at = START + timedelta(seconds=rng.randrange(10**7))
                headers, value = binary(event, id=str(uuid4()), time=at, source="bench")
                key = str(event.user_id).encode()
                records.append(OutgoingRecord(settings.lesson_events_topic, key, value, headers))
            await producer.send_all(records)


async def drain(settings: Settings) -> float:
    """Events per second of one worker, from empty tables."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    await connection.execute("truncate course_progress_all, lesson_progress, consumed_offset, outbox")
    started = await connection.fetchval("select clock_timestamp()")
    worker = WorkerProcess(settings, "--until-idle")
    assert worker.wait() == 0, worker.log
    # Assigned to its partitions, the worker says so; before that it only starts.
    [line] = [line for line in worker.log.splitlines() if "partitions assigned" in line]
    assigned = datetime.fromisoformat(line.split('"timestamp": "')[1].split('"')[0])
    last_commit = await connection.fetchval("select max(moved_at) from consumed_offset")
    worker.close()
    await connection.close()
    assert started < assigned < last_commit
    return float(EVENTS / (last_commit - assigned).total_seconds())


async def main() -> None:
    settings = Settings(consumer_group=f"bench-{uuid4()}", http_port=0, log_format="json")
    await publish(settings)
    print(f"{EVENTS:,} events over {ROWS:,} progress rows; {os.cpu_count()} cores, {platform.machine()}")
    for _ in range(RUNS):
        print(f"{await drain(settings):,.0f} events/s", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
