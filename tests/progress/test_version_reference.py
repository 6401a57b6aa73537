"""SQL makes of thousands of random histories what the rules of versions (8 to 11) say, each under up to four versions.

`HISTORIES=100000 SEED=7 pytest tests/progress/test_version_reference.py` plays more of them, or others.
"""

import os
import random
from typing import Any

import asyncpg
import pytest

from events.catalog import CoursePublished
from tests.catalogs import (
    expect_standings,
    find_wrong_standings,
    publish_versions,
    read_standings,
    recount_all,
)
from tests.databases import Database
from tests.histories import cut, draw_course
from worker.progress.store import Store
from worker.repair.recount import Scope, Verify, connect_to_recount
from worker.settings import Settings

HISTORIES = int(os.environ.get("HISTORIES", "10000"))
SEED = int(os.environ.get("SEED", "18"))
LEARNERS = 100  # of each course, which share its versions and its recount


@pytest.mark.timeout(600)
async def test_random_histories_end_as_the_rules_of_versions_say(
    database_settings: Settings, connection: asyncpg.Connection
) -> None:
    rng = random.Random(SEED)
    published, happened = [], []
    for _ in range(max(1, HISTORIES // LEARNERS)):
        versions, events = draw_course(rng, LEARNERS)
        published += versions
        happened += events
    arriving = happened + rng.sample(happened, len(happened) // 5)
    steps: list[Any] = [*cut(rng, arriving, 1000), *cut(rng, published, 25), *["recount"] * 3]
    rng.shuffle(steps)
    database = Database(Store(database_settings), connection)
    await database.empty()

    for step in steps:
        match step:
            case "recount":
                await recount_all(database_settings)
            case [(CoursePublished(), _), *_]:
                await publish_versions(database_settings, step)
            case _:
                await database.apply(step)
    await recount_all(database_settings)
    await database.store.close()

    wanted = expect_standings(happened, published)
    found = await read_standings(connection, {version.course_id for version, _ in published})
    assert find_wrong_standings(wanted, found, published)[:3] == []
    assert len(found) > 0.8 * HISTORIES
    assert await find_differences(database_settings) == []


async def find_differences(settings: Settings) -> list[Any]:
    """Returns the first rows at which `verify` takes offence."""
    connection = await connect_to_recount(settings)
    try:
        return [found async for found in Verify(connection, Scope(), lambda _: None).differences()][:3]
    finally:
        await connection.close()
