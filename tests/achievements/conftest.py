"""Gives each test of badges a desk that awards them."""

import asyncpg
import pytest

from tests.achievements.desk import Desk
from worker.achievements.settings import AchievementSettings
from worker.settings import Settings


@pytest.fixture
async def desk(database_settings: Settings, connection: asyncpg.Connection) -> Desk:
    """Returns a desk with the rights of the role course_progress_effects."""
    await connection.execute("set role course_progress_effects")
    return Desk(connection, AchievementSettings(**database_settings.model_dump()))
