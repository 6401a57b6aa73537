"""Awards badges in tests, on a real database and with the rights of effects."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from events.learners import LearnerDescribed
from events.models import (
    COURSE_EVENTS,
    BadgeEarned,
    BadgeRevoked,
    CourseCompleted,
    CourseCompletionRevoked,
    LessonCompleted,
    badge_event_id,
)
from worker.achievements.award import BADGE_SCAN, Awarder, read_facts
from worker.achievements.facts import Facts
from worker.achievements.plan import BADGES, Activity, plan_badges_of_courses, plan_badges_of_described
from worker.achievements.registration import register
from worker.achievements.rules import Badge, parse_badges
from worker.achievements.settings import AchievementSettings
from worker.certificates.people import describe_learners
from worker.certificates.plan import plan_certificates
from worker.effects.performer import Performer
from worker.stream.outcome import Occurrence

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)
USER, COURSE = UUID(int=1), UUID(int=2)
TABLES = (
    "announced_completion", "learner", "effect", "outbox", "active_day", "active_instant", "studied_lesson",
    "badge_rule", "badge_award",
)  # fmt: skip
FEW = f"""
[course]
title = "A course"
description = "d"
when = {{ courses = 1 }}
[two-courses]
title = "Two courses"
description = "d"
when = {{ courses = 2 }}
[lessons-3]
title = "Three lessons"
description = "d"
when = {{ lessons = 3 }}
[streak-2]
title = "Two days"
description = "d"
when = {{ streak = 2 }}
[knots]
title = "Knots"
description = "d"
when = {{ course = "{COURSE}" }}
revocable = true
[all]
title = "All"
description = "d"
when = {{ all_of = [{{ streak = 3 }}, {{ courses = 1 }}, {{ lessons = 2 }}] }}
"""
Happened = tuple[Any, datetime, int]  # an event, when it happened, and the offset of its clock in minutes


def lesson(name: str, at: datetime, offset: int = 0, *, user: UUID = USER, course: UUID = COURSE) -> Happened:
    return LessonCompleted(user_id=user, course_id=course, lesson_id=name), at, offset


def completed(number: int, at: datetime, *, user: UUID = USER, course: UUID = COURSE) -> Happened:
    about = {"user_id": user, "course_id": course, "completion_number": number}
    counts = {"lessons_completed": 1, "total_lessons": 1}
    return CourseCompleted(**about, **counts, completed_at=at, started_at=at), at, 0


def taken_back(
    number: int, at: datetime, cause: str = "learner", *, user: UUID = USER, course: UUID = COURSE
) -> Happened:
    about = {"user_id": user, "course_id": course, "completion_number": number}
    counts = {"lessons_completed": 0, "total_lessons": 1}
    return CourseCompletionRevoked(**about, **counts, revoked_at=at, cause=cause), at, 0


@dataclass
class Desk:
    """Plans and awards badges as `course-progress effects` does, over one connection."""

    connection: asyncpg.Connection
    settings: AchievementSettings
    badges: Sequence[Badge] = parse_badges(FEW)

    async def empty(self, badges: str = FEW) -> None:
        emptied = "; ".join(f"delete from {table}" for table in TABLES)
        await self.connection.execute(f"reset role; {emptied}; set role course_progress_effects")
        await self.declare(badges)
        await self.perform()

    async def declare(self, badges: str) -> list[str]:
        """Starts with these badges, as a process of effects does."""
        self.badges = parse_badges(badges)
        return await register(self.connection, self.badges, "course-events")

    async def tell(self, *happened: Happened) -> int:
        """Plans what follows from a batch of events, each stream's in its own order."""
        occurrences = [Occurrence(at, event, "events", 3, utc_offset=offset) for event, at, offset in happened]
        planned = 0
        async with self.connection.transaction():
            planned += await Activity(self.badges).plan(self.connection, occurrences)
            await plan_certificates(self.connection, occurrences)
            planned += await plan_badges_of_courses(self.connection, occurrences)
        return planned

    async def describe(self, timezone: str | None, at: datetime = NOON) -> None:
        told = [Occurrence(at, LearnerDescribed(user_id=USER, timezone=timezone), "learners", 0)]
        async with self.connection.transaction():
            await describe_learners(self.connection, told)
            await plan_badges_of_described(self.connection, told)

    async def perform(self) -> None:
        awarder = Awarder(self.settings, self.badges)
        performs = {BADGES: awarder.perform, BADGE_SCAN: awarder.perform_scan}
        performer = Performer(self.settings, performs, at_once=1)
        while await performer.perform_next(self.connection):
            pass
        assert not await self.connection.fetch("select * from effect where kind like 'badge%'")

    async def held(self, user: UUID = USER) -> list[str]:
        rows = await self.connection.fetch(
            "select badge from badge_award where revoked_at is null and user_id = $1 order by badge", user
        )
        return [row["badge"] for row in rows]

    async def awards(self) -> list[asyncpg.Record]:
        return await self.connection.fetch("select * from badge_award order by user_id, badge, number")

    async def facts(self) -> Facts:
        return await read_facts(self.connection, USER, self.badges, self.settings)

    async def take_announced(self) -> list[BadgeEarned | BadgeRevoked]:
        """Takes what waits in the outbox, as a worker does, and requires that it is of the contract."""
        await self.connection.execute("reset role")
        rows = await self.connection.fetch("select * from outbox where type like 'Badge%' order by seq")
        await self.connection.execute("delete from outbox; set role course_progress_effects")
        events = []
        for row in rows:
            event = COURSE_EVENTS[row["type"]].model_validate_json(row["payload"])
            assert isinstance(event, BadgeEarned | BadgeRevoked)
            assert (row["id"], row["aggregateid"]) == (badge_event_id(event), str(event.user_id))
            assert json.loads(row["payload"]).keys() == type(event).model_fields.keys()
            events.append(event)
        return events
