"""A batch's plans and its offsets are written together, or not at all."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import asyncpg
import pytest
from aiokafka import TopicPartition

from events.models import CourseCompleted
from tests.factories import COURSE, USER
from worker.effects.plan_sink import PlanSink
from worker.errors import ValueRefused
from worker.postgres.effect_rows import EffectRow, plan_effects
from worker.settings import Settings
from worker.stream.batch import Batch
from worker.stream.outcome import Occurrence, Record
from worker.stream.sink import Applied, OffsetsMoved, Span

PARTITION = TopicPartition("course-events", 0)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def plan(connection: asyncpg.Connection, occurrences: Sequence[Occurrence]) -> int:
    rows = [
        EffectRow(str(o.event.completion_number), o.event.user_id, o.topic, o.partition, o.occurred_at)
        for o in occurrences
    ]
    return await plan_effects(connection, "note", rows)


async def refuse(connection: asyncpg.Connection, occurrences: Sequence[Occurrence]) -> int:
    raise ValueRefused("no")


@pytest.fixture
async def sink(database_settings: Settings) -> AsyncIterator[PlanSink]:
    sink = PlanSink(database_settings, "effects", [plan])
    yield sink
    await sink.close()


def batch(expected: int | None, next: int, *numbers: int) -> Batch:
    """Makes a batch of completions with these numbers, which covers the offsets from `expected` to `next`."""
    record = Record(*PARTITION, 0, -1, 0, None, b"", None, 0, 0, ())
    events = [
        CourseCompleted(
            user_id=USER,
            course_id=COURSE,
            completed_at=NOON,
            started_at=NOON,
            completion_number=number,
            lessons_completed=1,
            total_lessons=1,
        )
        for number in numbers
    ]
    return Batch([(record, Occurrence(NOON, event, *PARTITION)) for event in events], {PARTITION: Span(expected, next)})


async def planned(connection: asyncpg.Connection) -> list[tuple[str, str, int]]:
    rows = await connection.fetch("select key, source_topic, source_partition from effect order by key")
    return [tuple(row) for row in rows]


async def test_plans_are_durable_with_the_offsets(sink: PlanSink, connection: asyncpg.Connection) -> None:
    assert await sink.apply_batch(batch(None, 2, 1, 2)) == Applied(2)

    assert await planned(connection) == [("1", "course-events", 0), ("2", "course-events", 0)]
    assert (await sink.stored_offsets([PARTITION]))[PARTITION].next == 2


async def test_a_batch_whose_offsets_were_moved_plans_nothing(sink: PlanSink, connection: asyncpg.Connection) -> None:
    await sink.apply_batch(batch(None, 2, 1, 2))

    assert await sink.apply_batch(batch(None, 2, 3)) == OffsetsMoved({PARTITION: 2})
    assert len(await planned(connection)) == 2


async def test_a_plan_that_is_refused_moves_no_offset_and_leaves_nothing_of_the_others(
    database_settings: Settings, connection: asyncpg.Connection
) -> None:
    sink = PlanSink(database_settings, "effects", [plan, refuse])
    with pytest.raises(ValueRefused):
        await sink.apply_batch(batch(None, 2, 1))

    assert await planned(connection) == []
    assert (await sink.stored_offsets([PARTITION]))[PARTITION] is None
    await sink.close()
