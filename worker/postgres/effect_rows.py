"""Plans effects in the table `effect`, for every kind of them."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from events.models import CourseEvent
from worker.postgres.connection import query
from worker.stream.effect import Planned


class EffectRow(NamedTuple):
    """Holds an effect to plan: what it is about, whom it waits for, what caused it, and when it is due."""

    key: str
    user_id: UUID | None
    source_topic: str
    source_partition: int
    due_at: datetime | None = None  # None: at once


async def plan_effects(connection: asyncpg.Connection, kind: str, rows: Iterable[EffectRow]) -> int:
    """Plans effects of one kind in the caller's transaction, and returns how many.

    Of rows with the same key the last holds. Raises the driver's errors, which the caller translates.
    """
    by_key = {row.key: row for row in rows}
    if not by_key:
        return 0
    columns = zip(*by_key.values(), strict=True)
    planned: int = await connection.fetchval(query("postgres/plan_effects"), kind, *map(list, columns))
    return planned


async def announce(
    connection: asyncpg.Connection, planned: Planned, id: UUID, event: CourseEvent, at: datetime
) -> None:
    """Puts a course event that an effect has caused into the outbox, in the caller's transaction."""
    await connection.execute(
        query("postgres/announce"),
        id,
        str(event.user_id),
        type(event).__name__,
        event.model_dump_json(),
        at,
        planned.source_topic,
        planned.source_partition,
    )


async def wake_effects(connection: asyncpg.Connection, kind: str, users: Iterable[UUID]) -> int:
    """Makes the effects of one kind that wait for these learners due now, and returns how many.

    Waits for one that is being performed: it may have looked before, and would wait for its back-off.
    """
    status = await connection.execute(
        "update effect set due_at = least(due_at, now()), attempts = 0 where kind = $1 and user_id = any($2)",
        kind,
        sorted(set(users)),
    )
    return int(status.split()[-1])
