"""Reads what a learner has earned, and what comes next, for whoever shows it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple, Self
from uuid import UUID

import structlog
from cachetools import TTLCache

from worker.achievements.award import choose_facts
from worker.achievements.facts import Award, Facts, Measure, build_facts, measure
from worker.achievements.rules import Badge, read_badges
from worker.achievements.settings import AchievementSettings
from worker.achievements.streaks import Streak
from worker.errors import TookTooLong
from worker.postgres.connection import query, with_time_limit
from worker.postgres.pool import connect_pool

log = structlog.get_logger("achievements")

LONGEST_S = 3.0
COUNTED_EVERY_S = 60.0
NEW_FOR = timedelta(days=14)
LEARNERS = "learners"


class NextBadge(NamedTuple):
    """Holds a badge that the learner does not have, and how far they are."""

    badge: Badge
    measure: Measure


class BadgeCount(NamedTuple):
    """Says how many learners have a badge. Whoever shows it rounds it (docs/decisions/0019)."""

    title: str
    course_id: UUID | None  # of a badge for one course
    learners: int


@dataclass(frozen=True, slots=True)
class Earned:
    """Holds what a learner has earned, in one snapshot."""

    as_of: datetime
    today: date  # on the learner's calendar
    streak: Streak
    days: frozenset[date]  # on which the learner was active
    awards: tuple[Award, ...]  # that the learner has, the latest awarded first
    next: tuple[NextBadge, ...]  # the nearest first

    def is_new(self, award: Award) -> bool:
        """Tells whether to celebrate an award of the learner."""
        return is_new(award, self.as_of)


def is_new(award: Award, now: datetime) -> bool:
    """Tells whether to celebrate an award: it was earned when it was awarded, and that is not long ago."""
    return award.fresh and award.awarded_at > now - NEW_FOR


class Achievements:
    """Reads what learners have earned. An async context manager; reading raises DatabaseUnavailable.

    Raises SetupError, when it is made, for a file of badges that has a mistake.
    """

    def __init__(self, settings: AchievementSettings) -> None:
        self._settings = with_time_limit(settings, LONGEST_S)
        self._forgives_every = settings.streak_forgives_every
        self.badges = read_badges(settings.badges_file)
        self._counts: TTLCache[str, tuple[BadgeCount, ...]] = TTLCache(1, COUNTED_EVERY_S)
        self._counting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(self._settings, max_size=5)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._pool.close()

    async def read(self, user_id: UUID) -> Earned:
        """Reads a learner's streak, badges and the next ones. One round trip."""
        [row] = await self._pool.fetch(query("achievements/facts"), user_id, *choose_facts(self.badges))
        return sum_up(build_facts(row, self._forgives_every), self.badges)

    async def read_awards(self, user_ids: Sequence[UUID]) -> dict[UUID, tuple[Award, ...]]:
        """Reads the badges that these learners have, the latest awarded last; those who have none are missing."""
        found: dict[UUID, list[Award]] = {}
        for row in await self._pool.fetch(query("achievements/awards_of_learners"), user_ids):
            found.setdefault(row["user_id"], []).append(Award(*(row[name] for name in Award._fields)))
        return {user_id: tuple(awards) for user_id, awards in found.items()}

    async def count_learners(self) -> tuple[BadgeCount, ...]:
        """Counts who has each badge, at most every COUNTED_EVERY_S. Empty where counting takes longer than LONGEST_S.

        The badge that most learners have comes first.
        """
        async with self._counting:
            if (kept := self._counts.get(LEARNERS)) is None:
                try:
                    rows = await self._pool.fetch(query("achievements/count_awards"))
                except TookTooLong as error:
                    log.warning("badges are not counted", reason=str(error))
                    rows = []
                counts = [BadgeCount(row["title"], row["course_id"], row["learners"]) for row in rows]
                kept = self._counts[LEARNERS] = tuple(sorted(counts, key=lambda found: -found.learners))
            return kept


def sum_up(facts: Facts, badges: tuple[Badge, ...]) -> Earned:
    """Sums up what the facts say, with what is to come of these badges."""
    held = tuple(award for award in facts.awards if award.revoked_at is None)
    coming = [NextBadge(badge, measure(badge, facts)) for badge in badges if not facts.find_award(badge.id)]
    nearest = sorted(coming, key=lambda found: -found.measure.value / found.measure.target)
    return Earned(facts.now, facts.today, facts.streak, frozenset(facts.days), held, tuple(nearest))
