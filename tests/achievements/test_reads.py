"""Reads of many learners: the badges that they have, and how many have each."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from worker.achievements import reads
from worker.achievements.reads import Achievements
from worker.achievements.settings import AchievementSettings
from worker.errors import TookTooLong
from worker.settings import Settings

ADA, BEN, CLEO = (UUID(int=n) for n in (1, 2, 3))
COURSE = UUID(int=9)


@pytest.fixture
async def achievements(database_settings: Settings) -> AsyncIterator[Achievements]:
    async with Achievements(AchievementSettings(**database_settings.model_dump())) as opened:
        yield opened


async def award(connection: asyncpg.Connection, user: UUID, badge: str, number: int = 1, revoked: bool = False) -> None:
    await connection.execute(
        "insert into badge_award (user_id, badge, number, title, description, course_id, earned_on, cause, fresh,"
        " revoked_at) values ($1, $2, $3, $2, 'd', $4, current_date, 'learner', true, case when $5 then now() end)",
        *(user, badge, number, COURSE if badge == "knots" else None, revoked),
    )


async def test_the_badges_of_several_learners_without_those_that_were_taken_back(
    achievements: Achievements, connection: asyncpg.Connection
) -> None:
    await award(connection, ADA, "week")
    await award(connection, ADA, "knots", 1, revoked=True)
    await award(connection, ADA, "knots", 2)
    await award(connection, BEN, "knots", 1, revoked=True)

    found = await achievements.read_awards([ADA, BEN, CLEO])

    assert {user: [(a.badge, a.number) for a in awards] for user, awards in found.items()} == {
        ADA: [("week", 1), ("knots", 2)]
    }


async def test_learners_are_counted_per_badge_and_not_again_at_once(
    achievements: Achievements, connection: asyncpg.Connection
) -> None:
    for number in range(6):
        await award(connection, UUID(int=100 + number), "knots")
    await award(connection, ADA, "knots", 1, revoked=True)
    await award(connection, ADA, "week")

    counts = await achievements.count_learners()
    await award(connection, BEN, "week")

    assert counts == (("knots", COURSE, 6), ("week", None, 1))
    assert await achievements.count_learners() == counts


async def test_badges_that_take_too_long_to_count_take_no_page_with_them(
    achievements: Achievements, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_long(*_: object) -> None:
        raise TookTooLong("statement timeout")

    monkeypatch.setattr(achievements._pool, "fetch", too_long)

    assert await achievements.count_learners() == ()
    monkeypatch.undo()
    assert await achievements.count_learners() == ()  # for COUNTED_EVERY_S it is not tried again
    assert reads.COUNTED_EVERY_S == 60
