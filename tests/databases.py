"""Creates databases for tests, and fills and reads their tables."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
from aiokafka import TopicPartition

from events.catalog import CoursePublished
from events.models import LessonEvent
from tests.factories import USER
from tests.processes import eventually
from tests.topics import PARTITIONS
from worker.courses.catalog_sink import store_version
from worker.kafka.topics import create_missing, require_topics
from worker.postgres.connection import query
from worker.progress.fold import fold
from worker.progress.store import Store
from worker.settings import Settings
from worker.stream.outcome import Occurrence
from worker.stream.sink import Applied, Span

MILESTONE = "ProgressMilestoneReached"
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=10)


def url_of(admin_url: str, database: str) -> str:
    return f"{admin_url.rsplit('/', 1)[0]}/{database}"


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def new_database(admin_url: str, template: str) -> AsyncIterator[str]:
    """Yields the URL of a new clone of the template, and drops it at the end."""
    name = f"test_{uuid4().hex}"
    await execute(admin_url, f"create database {name} template {template}")
    yield url_of(admin_url, name)
    await execute(admin_url, f"drop database {name} with (force)")


async def new_settings(database_url: str, kafka_bootstrap_servers: str) -> Settings:
    """Creates topics, and returns settings with them, this database and a consumer group that no other test uses."""
    mark = uuid4().hex[:12]
    settings = Settings(
        database_url=database_url,
        kafka_bootstrap_servers=kafka_bootstrap_servers,
        consumer_group=f"group-{mark}",
        lesson_events_topic=f"lesson-events-{mark}",
        course_catalog_topic=f"course-catalog-{mark}",
        course_events_topic=f"course-events-{mark}",
        learners_topic=f"learners-{mark}",
        dead_letter_topic=f"lesson-events-{mark}.dlq",
        topic_partitions=PARTITIONS,
        http_port=0,
        session_timeout_s=6,
    )
    await create_missing(settings)
    await require_topics(settings)  # which waits until the broker knows them
    return settings


class Database:
    """Applies batches of events to a database as a worker does, through its Store."""

    def __init__(self, store: Store, connection: asyncpg.Connection) -> None:
        self.store = store
        self.connection = connection

    async def empty(self) -> None:
        await self.connection.execute("truncate course_progress_all, lesson_progress, consumed_offset, outbox")
        self.partition = TopicPartition("lesson-events", 0)
        self.offset: int | None = None

    async def apply(self, batch: list[tuple[LessonEvent, datetime]]) -> None:
        occurrences = [Occurrence(when, event, *self.partition) for event, when in batch]
        span = Span(self.offset, (self.offset or 0) + len(batch))
        assert isinstance(await self.store.apply(fold(occurrences), {self.partition: span}), Applied)
        self.offset = span.next

    async def versions(self) -> list[asyncpg.Record]:
        """Reads every row with the id of the transaction that wrote it."""
        return await self.connection.fetch(
            "select xmin::text, p::text from course_progress_all p"
            " union all select xmin::text, l::text from lesson_progress l order by 1, 2"
        )

    async def take_outbox(self) -> list[asyncpg.Record]:
        """Takes the transitions that wait in the outbox. Milestones are thrown away."""
        return [row for row in await self._take() if row["type"] != MILESTONE]

    async def take_milestones(self) -> list[asyncpg.Record]:
        """Takes the milestones that wait in the outbox. Transitions are thrown away."""
        return [row for row in await self._take() if row["type"] == MILESTONE]

    async def _take(self) -> list[asyncpg.Record]:
        rows = await self.connection.fetch("delete from outbox returning *")
        return sorted(rows, key=lambda row: row["seq"])


async def count_applied(connection: asyncpg.Connection) -> int:
    """Counts the records before the stored offsets of all partitions."""
    return int(await connection.fetchval("select coalesce(sum(next_offset), 0) from consumed_offset"))


async def wait_until_applied(connection: asyncpg.Connection, number: int) -> None:
    """Waits until exactly so many records are applied."""

    async def is_applied() -> bool:
        return await count_applied(connection) == number

    await eventually(is_applied)


async def put(connection: asyncpg.Connection, partition: TopicPartition, numbers: range) -> None:
    """Inserts outbox rows of USER: for each number a completion and a revocation."""
    await connection.execute(
        """
        insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
        select course_event_id(type, $1, $1, n, now()), 'course', $1, type,
               jsonb_build_object(
                   'user_id', $1::uuid, 'course_id', $1::uuid, 'revoked_at', now(), 'completed_at', now(),
                   'started_at', now(), 'completion_number', n, 'lessons_completed', 1, 'total_lessons', 1),
               now(), $2, $3
        from unnest($4::integer[]) n cross join unnest(array['CourseCompleted', 'CourseCompletionRevoked']) as type
        order by n, type
        """,
        USER,
        *partition,
        list(numbers),
    )


async def learners(
    connection: asyncpg.Connection,
    course: UUID,
    number: int,
    lessons: Sequence[str] = (),
    *,
    at: datetime = NOON,
    pause: timedelta = timedelta(minutes=10),
    total: int = 3,
) -> None:
    """Inserts this many learners, who completed these lessons one after the other."""
    times = [at + pause * n for n in range(len(lessons))]
    for _ in range(number):
        user = uuid4()
        await connection.execute(
            """
            insert into course_progress_all (user_id, course_id, last_accessed_at, started_at, completed_at,
                                             lessons_completed, total_lessons, total_at)
            values ($1, $2, $3, $4, $5, $6, $7, $4)
            """,
            user,
            course,
            max([at, *times]),
            at,
            times[-1] if len(times) >= total else None,
            len(lessons),
            total,
        )
        await connection.executemany(
            """
            insert into lesson_progress (user_id, course_id, lesson_id, changed_at, completed_at, completed)
            values ($1, $2, $3, $4, $4, true)
            """,
            [(user, course, lesson, time) for lesson, time in zip(lessons, times, strict=True)],
        )


async def transitions(connection: asyncpg.Connection) -> int:
    """Counts the completions and revocations that the progress rows stand for."""
    numbers = (
        "select coalesce(sum(completion_number * 2 - (completed_at is not null)::integer), 0) from course_progress_all"
    )
    return int(await connection.fetchval(numbers))


async def nothing_waits(connection: asyncpg.Connection) -> bool:
    return await connection.fetchval("select count(*) from outbox") == 0


async def offsets(connection: asyncpg.Connection) -> dict[int, int]:
    """Reads the stored offset of each partition."""
    return dict(await connection.fetch("select partition, next_offset from consumed_offset"))


async def lesson(
    connection: asyncpg.Connection,
    user: UUID,
    course: UUID,
    lesson_id: str,
    at: datetime = NOON,
    *,
    completed: bool = True,
) -> None:
    """Inserts a lesson row, completed at that time or un-completed since."""
    await connection.execute(
        """
        insert into lesson_progress (user_id, course_id, lesson_id, changed_at, completed_at, completed)
        values ($1, $2, $3, $4, $5, $6)
        """,
        user,
        course,
        lesson_id,
        at,
        at if completed else None,
        completed,
    )


async def invent(
    connection: asyncpg.Connection, user: UUID, course: UUID, number: int, *, completed: bool = True, pad: str = ""
) -> None:
    """Inserts a course with this many lessons `n000001`, `n000002`, each followed by `pad`, a second apart."""
    done = number if completed else 0
    ended = NOON if done >= 10_000 else None
    await connection.execute(
        """
        insert into course_progress_all (user_id, course_id, last_accessed_at, started_at, completed_at,
                                         lessons_completed, total_lessons)
        values ($1, $2, $3, $3, $4, $5, 10000)
        """,
        *(user, course, NOON, ended, done),
    )
    await connection.execute(
        """
        insert into lesson_progress (user_id, course_id, lesson_id, changed_at, completed_at, completed)
        select $1, $2, 'n' || lpad(n::text, 6, '0') || $3, at, case when $4 then at end, $4
        from generate_series(1, $5) n cross join lateral (select $6::timestamptz + make_interval(secs => n) as at) t
        """,
        *(user, course, pad, completed, number, NOON),
    )


async def report_old_worker(connection: asyncpg.Connection, group: str) -> None:
    """Inserts the report of a worker `old-1` that runs and does not know versions of courses."""
    await connection.execute(
        """
        insert into worker_status (consumer_group, worker, host, version, started_at, partitions, events_per_s, busy,
                                   dead_letters)
        values ($1, 'old-1', 'h', '1', now(), '{}', 0, 0, 0)
        """,
        group,
    )


async def publish_version(connection: asyncpg.Connection, version: CoursePublished, at: datetime = NOON) -> None:
    """Stores a version of a course as a worker does, and has its progress rows wait for their recount."""
    await store_version(connection, version, at)
    await connection.execute(query("courses/close_replacements"), version.course_id)
    await connection.execute(query("courses/begin_recount"), version.course_id)
    await connection.execute("update known_epoch set epoch = epoch + 1")
