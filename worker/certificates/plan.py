"""Plans certificates from course events: keeps what they said of completions, and plans to look at it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, Self
from uuid import UUID

import asyncpg

from events.models import CourseCompleted, CourseCompletionRevoked
from worker.postgres.connection import query
from worker.postgres.effect_rows import EffectRow, plan_effects
from worker.stream.outcome import Occurrence

CERTIFICATE = "certificate"


class Fact(NamedTuple):
    """Holds what one course event says of one completion: that it was completed, or taken back."""

    user_id: UUID
    course_id: UUID
    number: int
    version: int | None = None
    title: str | None = None
    completed_at: datetime | None = None
    revoked_at: datetime | None = None
    cause: str | None = None

    @classmethod
    def of(cls, event: CourseCompleted | CourseCompletionRevoked) -> Self:
        """Takes what the event says."""
        about = (event.user_id, event.course_id, event.completion_number)
        if isinstance(event, CourseCompleted):
            return cls(*about, version=event.course_version, title=event.title, completed_at=event.completed_at)
        return cls(*about, revoked_at=event.revoked_at, cause=event.cause)


def key_of(user_id: UUID, course_id: UUID) -> str:
    """Returns the key of the effect that makes a learner's certificates in a course what they should be."""
    return f"{user_id}/{course_id}"


async def plan_certificates(connection: asyncpg.Connection, occurrences: Sequence[Occurrence]) -> int:
    """Keeps what these course events say of completions, and plans their certificates; returns how many effects.

    Repeated events, in any order and in any batches, leave the same behind.
    """
    told = [o for o in occurrences if isinstance(o.event, CourseCompleted | CourseCompletionRevoked)]
    await merge_facts(connection, [Fact.of(o.event) for o in told])
    return await plan_effects(
        connection,
        CERTIFICATE,
        [EffectRow(key_of(o.event.user_id, o.event.course_id), o.event.user_id, o.topic, o.partition) for o in told],
    )


async def merge_facts(connection: asyncpg.Connection, facts: Iterable[Fact]) -> None:
    """Merges facts into `announced_completion`, in the caller's transaction. Their order decides nothing."""
    if columns := list(map(list, zip(*facts, strict=True))):
        await connection.execute(query("certificates/merge_facts"), *columns)
