"""Awards badges, and revokes those of courses that are complete no longer: the effect of kind `badges`."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from uuid import UUID

import asyncpg

from events.models import BadgeEarned, BadgeRevoked, badge_event_id
from worker.achievements.facts import Facts, build_facts, find_standing, is_fresh, measure
from worker.achievements.rules import Badge
from worker.achievements.settings import AchievementSettings
from worker.postgres.connection import query
from worker.postgres.effect_rows import announce
from worker.stream.effect import Later, Planned

BADGE_SCAN = "badge-scan"
SCANNED_AT_ONCE = 100  # learners
RULE_CHANGED, LEARNER = "rule-changed", "learner"


class Awarder:
    """Performs effects of the kinds `badges`, of a learner, and `badge-scan`, of a new rule.

    An award is a row that is inserted once, and the event goes with it: so whatever comes again awards nothing.
    """

    def __init__(self, settings: AchievementSettings, badges: Sequence[Badge]) -> None:
        self._settings = settings
        self._badges = {badge.id: badge for badge in badges}

    async def perform(self, connection: asyncpg.Connection, planned: Planned) -> Later | None:
        """Awards and revokes what the facts of one learner say; durable, and announced, with the caller's commit."""
        await self._award(connection, planned, UUID(planned.key), [*self._badges.values()])
        return None

    async def perform_scan(self, connection: asyncpg.Connection, planned: Planned) -> Later | None:
        """Looks at the next learners for a badge whose rule is new, and goes on until it has looked at all.

        A rule that this process does not know any more is left alone.
        """
        badge = self._badges.get(planned.key)
        place = await connection.fetchrow(
            "select after_user from badge_rule where badge = $1 and scanned_at is null for update", planned.key
        )
        if badge is None or place is None:
            return None
        rows = await connection.fetch(query("achievements/next_learners"), place["after_user"], SCANNED_AT_ONCE)
        for row in rows:
            await self._award(connection, planned, row["user_id"], [badge])
        done = len(rows) < SCANNED_AT_ONCE
        await connection.execute(
            "update badge_rule set after_user = coalesce($2, after_user), scanned_at = case when $3 then now() end"
            " where badge = $1",
            badge.id,
            rows[-1]["user_id"] if rows else None,
            done,
        )
        return None if done else Later(None, datetime.now(UTC))

    async def _award(
        self, connection: asyncpg.Connection, planned: Planned, user_id: UUID, badges: Sequence[Badge]
    ) -> None:
        facts = await read_facts(connection, user_id, badges, self._settings)
        rules = {
            row["badge"]: row
            for row in await connection.fetch(
                "select badge, since, scanned_at from badge_rule where badge = any($1)", [badge.id for badge in badges]
            )
        }
        for badge in badges:
            rule = rules.get(badge.id)
            new_since = rule["since"] if rule and rule["scanned_at"] is None else None
            if badge.revocable:
                await self._follow_course(connection, planned, user_id, badge, facts, new_since)
            elif not facts.find_award(badge.id):
                reached = measure(badge, facts).reached_on
                if reached:
                    await _insert(connection, planned, user_id, badge, facts, 1, reached, new_since)

    async def _follow_course(
        self,
        connection: asyncpg.Connection,
        planned: Planned,
        user_id: UUID,
        badge: Badge,
        facts: Facts,
        new_since: datetime | None,
    ) -> None:
        """Awards the badge while a completion of its course stands, each time under the number of the completion."""
        assert badge.when.course is not None
        standing, revoked = find_standing(badge.when.course, facts.completions)
        award = facts.find_award(badge.id)
        if award and award.number <= revoked:
            cause = max(
                (c.number, c.cause or LEARNER)
                for c in facts.completions
                if c.course_id == badge.when.course and c.revoked_at and c.number == revoked
            )[1]
            await _revoke(connection, planned, user_id, badge, award.number, cause)
            award = None
        if standing and not award and standing.completed_at:
            reached = facts.find_day(standing.completed_at)
            await _insert(connection, planned, user_id, badge, facts, standing.number, reached, new_since)


async def read_facts(
    connection: asyncpg.Connection, user_id: UUID, badges: Sequence[Badge], settings: AchievementSettings
) -> Facts:
    """Reads what is known of a learner, as far as these badges ask for it."""
    [row] = await connection.fetch(query("achievements/facts"), user_id, *choose_facts(badges))
    return build_facts(row, settings.streak_forgives_every)


def choose_facts(badges: Sequence[Badge]) -> tuple[int, list[UUID]]:
    """Returns how many lesson times badges ask for, and of which courses the percentages: $2 and $3 of facts.sql."""
    conditions = [condition for badge in badges for condition in badge.when.conditions]
    courses = {condition.course for condition in conditions if condition.course}
    return max((condition.lessons or 0 for condition in conditions), default=0), sorted(courses)


async def _insert(
    connection: asyncpg.Connection,
    planned: Planned,
    user_id: UUID,
    badge: Badge,
    facts: Facts,
    number: int,
    reached_on: date,
    new_since: datetime | None,
) -> None:
    changed = new_since is not None and reached_on < facts.find_day(new_since)
    cause = RULE_CHANGED if changed else LEARNER
    awarded = await connection.fetchrow(
        query("achievements/award"),
        *(user_id, badge.id, number, badge.title, badge.description, badge.when.course, reached_on, cause),
        is_fresh(reached_on, cause, facts),
    )
    if awarded is None:
        return
    event = BadgeEarned(
        user_id=user_id,
        badge=badge.id,
        number=number,
        title=badge.title,
        course_id=badge.when.course,
        earned_on=reached_on,
        awarded_at=awarded["awarded_at"],
        cause=cause,
    )
    await announce(connection, planned, badge_event_id(event), event, event.awarded_at)


async def _revoke(
    connection: asyncpg.Connection, planned: Planned, user_id: UUID, badge: Badge, number: int, cause: str
) -> None:
    revoked_at = await connection.fetchval(
        "update badge_award set revoked_at = now()"
        " where user_id = $1 and badge = $2 and number = $3 and revoked_at is null returning revoked_at",
        *(user_id, badge.id, number),
    )
    if revoked_at is None:
        return
    event = BadgeRevoked(
        user_id=user_id,
        badge=badge.id,
        number=number,
        title=badge.title,
        course_id=badge.when.course,
        revoked_at=revoked_at,
        cause=cause,
    )
    await announce(connection, planned, badge_event_id(event), event, event.revoked_at)
