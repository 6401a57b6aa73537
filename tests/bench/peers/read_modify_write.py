"""Applies one event per transaction, as a handler without batches does: reads the row, computes the new one, writes it.

The rules are those of docs/rules.md with two exceptions: no resets, because the benchmark's events have none, and the
event that completes a course dates its completion. It makes as few round trips as that allows: BEGIN, SELECT, the
lesson, the row, COMMIT; a sixth when a course is completed or reopened.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

import asyncpg

from events.models import (
    CourseAccessed,
    CourseCompleted,
    CourseCompletionRevoked,
    CourseEvent,
    LessonCompleted,
    ProgressReset,
    course_event_id,
)
from worker.decode import decode
from worker.settings import Settings
from worker.stream.outcome import Occurrence, Record

CREATE = """
create table if not exists bench_progress (
    peer text, partition integer, next_offset bigint, moved_at timestamptz default clock_timestamp(),
    primary key (peer, partition))
"""
READ = """
select p.id, p.lessons_completed, p.total_lessons, p.total_at, p.last_lesson_id, p.last_lesson_at, p.last_accessed_at,
       p.started_at, p.completed_at, p.completion_number, l.completed as lesson_completed, l.changed_at
from course_progress_all p
left join lesson_progress l on l.user_id = p.user_id and l.course_id = p.course_id and l.lesson_id = $3
where p.user_id = $1 and p.course_id = $2
for update of p
"""
WRITE_LESSON = """
insert into lesson_progress (user_id, course_id, lesson_id, completed, changed_at, completed_at, uncompleted_at)
values ($1, $2, $3, $4::boolean, $5::timestamptz, case when $4 then $5 end, case when not $4 then $5 end)
on conflict (user_id, course_id, lesson_id) do update set
    completed = excluded.completed, changed_at = excluded.changed_at,
    completed_at = case when excluded.completed then coalesce(lesson_progress.completed_at, excluded.completed_at) end,
    uncompleted_at = coalesce(excluded.uncompleted_at, lesson_progress.uncompleted_at)
"""
# In one statement with the row: only the benchmark needs the offset, so another round trip would be unfair.
MOVE = """
with moved as (
    insert into bench_progress (peer, partition, next_offset) values ($1, $2, $3)
    on conflict (peer, partition) do update set next_offset = excluded.next_offset, moved_at = clock_timestamp())
"""
UPDATE = f"""{MOVE}
update course_progress_all set
    lessons_completed = $5, total_lessons = $6, total_at = $7, last_lesson_id = $8, last_lesson_at = $9,
    last_accessed_at = $10, started_at = $11, completed_at = $12, completion_number = $13, updated_at = now()
where id = $4
"""
INSERT = f"""{MOVE}
insert into course_progress_all (user_id, course_id, lessons_completed, total_lessons, total_at, last_lesson_id,
                                 last_lesson_at, last_accessed_at, started_at, completed_at, completion_number)
values ($4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""
ANNOUNCE = """
insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
values ($1, 'course', $2, $3, $4, $5, $6, $7)
"""


@dataclass(slots=True)
class Progress:
    """Holds a progress row, in the order of the columns in UPDATE and INSERT."""

    lessons_completed: int = 0
    total_lessons: int | None = None
    total_at: datetime | None = None
    last_lesson_id: str | None = None
    last_lesson_at: datetime | None = None
    last_accessed_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    completion_number: int = 0

    def see(self, at: datetime, lesson_id: str | None) -> None:
        """Applies rule 5."""
        self.started_at = min(self.started_at or at, at)
        self.last_accessed_at = max(self.last_accessed_at or at, at)
        if lesson_id is not None and (
            self.last_lesson_at is None or (at, lesson_id) > (self.last_lesson_at, self.last_lesson_id)
        ):
            self.last_lesson_at, self.last_lesson_id = at, lesson_id

    def total(self, at: datetime, lessons: int) -> None:
        """Applies rule 2."""
        if self.total_at is None or (at, lessons) > (self.total_at, self.total_lessons):
            self.total_at, self.total_lessons = at, lessons

    def turn(self, at: datetime) -> type[CourseEvent] | None:
        """Applies rules 4 and 7: returns the course event if the course was completed or reopened."""
        complete = self.total_lessons is not None and self.lessons_completed >= self.total_lessons
        if complete and self.completed_at is None:
            self.completed_at = at
            self.completion_number += 1
            return CourseCompleted
        if not complete and self.completed_at is not None:
            self.completed_at = None
            return CourseCompletionRevoked
        return None

    def columns(self) -> list[object]:
        return [getattr(self, name) for name in COLUMNS]


COLUMNS = [field.name for field in fields(Progress)]


class ReadModifyWrite:
    """Applies one record after the other over one connection of the pool."""

    def __init__(self, peer: str, connection: asyncpg.Connection) -> None:
        self._peer = peer
        self._connection = connection

    async def apply(self, record: Record) -> None:
        """Applies the record, which is durable when it returns."""
        outcome = decode(record)
        moved = (self._peer, record.partition, record.offset + 1)
        async with self._connection.transaction():
            if isinstance(outcome, Occurrence):
                await self._apply(outcome, moved)
            else:
                await self._connection.execute(f"{MOVE} select", *moved)

    async def _apply(self, occurrence: Occurrence, moved: tuple[str, int, int]) -> None:
        event, at = occurrence.event, occurrence.occurred_at
        if isinstance(event, ProgressReset):
            raise NotImplementedError("the benchmark's events have no resets")
        key = (event.user_id, event.course_id)
        row = await self._connection.fetchrow(READ, *key, event.lesson_id)
        progress = Progress(*(row[name] for name in COLUMNS)) if row else Progress()
        progress.see(at, event.lesson_id)
        if not isinstance(event, CourseAccessed):
            progress.total(at, event.total_lessons)
            progress.lessons_completed += await self._lesson(row, key, event.lesson_id, at, type(event))
        turned = progress.turn(at)
        if row:
            await self._connection.execute(UPDATE, *moved, row["id"], *progress.columns())
        else:
            await self._connection.execute(INSERT, *moved, *key, *progress.columns())
        if turned:
            await self._announce(turned, progress, occurrence)

    async def _lesson(
        self, row: asyncpg.Record | None, key: tuple[UUID, UUID], lesson_id: str, at: datetime, kind: type
    ) -> int:
        """Applies rule 1, the later event wins. Returns the change of the count of completed lessons."""
        completed = kind is LessonCompleted
        known = row is not None and row["changed_at"] is not None
        was_completed = known and row["lesson_completed"]
        if known and (at, completed) <= (row["changed_at"], was_completed):
            return 0
        await self._connection.execute(WRITE_LESSON, *key, lesson_id, completed, at)
        return int(completed) - int(was_completed)

    async def _announce(self, kind: type[CourseEvent], progress: Progress, occurrence: Occurrence) -> None:
        at, event = occurrence.occurred_at, occurrence.event
        said = {
            **dict(zip(COLUMNS, progress.columns(), strict=True)),
            "user_id": event.user_id,
            "course_id": event.course_id,
            "revoked_at": at,
        }
        announcement = kind.model_validate(said)
        id = course_event_id(kind.__name__, event.user_id, event.course_id, progress.completion_number, at)
        await self._connection.execute(
            ANNOUNCE,
            id,
            str(event.user_id),
            kind.__name__,
            announcement.model_dump_json(),
            at,
            occurrence.topic,
            occurrence.partition,
        )


async def prepared_pool(settings: Settings) -> asyncpg.Pool:
    """Opens a pool, and creates the table that the benchmark reads."""
    pool = await asyncpg.create_pool(settings.database_url.get_secret_value(), min_size=1, max_size=4)
    await pool.execute(CREATE)
    return pool
