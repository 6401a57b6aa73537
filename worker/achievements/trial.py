"""Tries badges on all learners, and changes nothing."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import asyncpg

from worker.achievements.award import read_facts
from worker.achievements.facts import Facts, find_standing, measure
from worker.achievements.rules import Badge
from worker.achievements.settings import AchievementSettings
from worker.postgres.connection import query

CHUNK = 500
SAY_EVERY_S = 2.0


class Trial(NamedTuple):
    """Counts to how many learners a badge would be awarded, and how many have it."""

    awarded: int = 0
    held: int = 0


async def try_badges(
    connection: asyncpg.Connection,
    badges: Sequence[Badge],
    settings: AchievementSettings,
    report: Callable[[str], None],
) -> dict[str, Trial]:
    """Counts for each badge who would be awarded it. Reads learner by learner, so effects may run meanwhile."""
    found = {badge.id: Trial() for badge in badges}
    seen, after, said = 0, None, time.monotonic()
    while True:
        users = [row["user_id"] for row in await connection.fetch(query("achievements/next_learners"), after, CHUNK)]
        for user_id in users:
            facts = await read_facts(connection, user_id, badges, settings)
            for badge in badges:
                awarded, held = found[badge.id]
                has = facts.find_award(badge.id) is not None
                found[badge.id] = Trial(awarded + (not has and _is_earned(badge, facts)), held + has)
        seen += len(users)
        if len(users) < CHUNK:
            return found
        after = users[-1]
        if time.monotonic() - said > SAY_EVERY_S:
            report(f"{seen:,} learners looked at")
            said = time.monotonic()


def _is_earned(badge: Badge, facts: Facts) -> bool:
    if badge.revocable and badge.when.course:
        return find_standing(badge.when.course, facts.completions)[0] is not None
    return measure(badge, facts).reached_on is not None
