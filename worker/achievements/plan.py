"""Plans badges from events: keeps what they say of a learner, and plans to look at the learner's badges."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from uuid import UUID

import asyncpg

from events.learners import LearnerDescribed
from events.models import CourseCompleted, CourseCompletionRevoked, LessonCompleted
from worker.achievements.rules import Badge
from worker.achievements.streaks import cut_to_quarter, find_day
from worker.postgres.connection import query
from worker.postgres.effect_rows import EffectRow, plan_effects
from worker.stream.outcome import Occurrence

BADGES = "badges"


class Activity:
    """Keeps the days on which learners were active, and the lessons that they completed: a Plan of lesson events.

    An offset of zero says nothing of where the learner was, because clients write UTC so: the instant is kept.
    """

    def __init__(self, badges: Iterable[Badge]) -> None:
        self._thresholds = [(badge.id, most) for badge in badges for most in badge.list_thresholds()]

    async def plan(self, connection: asyncpg.Connection, occurrences: Sequence[Occurrence]) -> int:
        """Keeps what these events say, and plans to look at badges that it may make up; returns how many learners."""
        completed = [o for o in occurrences if isinstance(o.event, LessonCompleted)]
        if not completed:
            return 0
        days: set[tuple[UUID, date, int]] = set()
        instants: set[tuple[UUID, datetime]] = set()
        lessons: dict[tuple[UUID, UUID, str], datetime] = {}
        for o in completed:
            if o.utc_offset:
                days.add((o.event.user_id, find_day(o.occurred_at, o.utc_offset), o.utc_offset))
            else:
                instants.add((o.event.user_id, cut_to_quarter(o.occurred_at)))
            key = (o.event.user_id, o.event.course_id, o.event.lesson_id)
            lessons[key] = min(o.occurred_at, lessons.get(key, o.occurred_at))
        rows = await connection.fetch(
            query("achievements/keep_activity"),
            *_turn(days, 3),
            *_turn(instants, 2),
            *_turn([(*key, at) for key, at in lessons.items()], 4),
            *_turn(self._thresholds, 2),
        )
        sources = {o.event.user_id: (o.topic, o.partition) for o in completed}
        return await _plan(connection, [(row["user_id"], *sources[row["user_id"]]) for row in rows])


async def plan_badges_of_courses(connection: asyncpg.Connection, occurrences: Sequence[Occurrence]) -> int:
    """Plans badges from course events; runs after the plan of certificates, which keeps what they say."""
    told = [o for o in occurrences if isinstance(o.event, CourseCompleted | CourseCompletionRevoked)]
    return await _plan(connection, [(o.event.user_id, o.topic, o.partition) for o in told])


async def plan_badges_of_described(connection: asyncpg.Connection, occurrences: Sequence[Occurrence]) -> int:
    """Plans badges of learners whose zone may be another: in it, instants without an offset get other days."""
    told = {o.event.user_id: o for o in occurrences if isinstance(o.event, LearnerDescribed)}
    rows = await connection.fetch(
        "select user_id from unnest($1::uuid[]) u (user_id)"
        " where exists (select from active_instant a where a.user_id = u.user_id)",
        list(told),
    )
    users = [row["user_id"] for row in rows]
    return await _plan(connection, [(user, told[user].topic, told[user].partition) for user in users])


async def _plan(connection: asyncpg.Connection, users: Iterable[tuple[UUID, str, int]]) -> int:
    rows = [EffectRow(str(user_id), user_id, topic, partition) for user_id, topic, partition in users]
    return await plan_effects(connection, BADGES, rows)


def _turn(rows: Iterable[tuple[object, ...]], width: int) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
