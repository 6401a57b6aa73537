"""SQL makes of thousands of random histories what the rules of versions (8 to 11) say, each under up to four versions.

`HISTORIES=100000 SEED=7 pytest tests/progress/test_version_reference.py` plays more of them, or others.
"""

import os
import random
from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import pytest

from events.catalog import CoursePublished
from events.models import (
    CourseAccessed,
    LessonCompleted,
    LessonEvent,
    LessonUncompleted,
    LessonWaived,
    LessonWaiverWithdrawn,
    ProgressReset,
)
from tests.catalogs import (
    Published,
    draw_version,
    expect_standings,
    find_wrong_standings,
    publish_versions,
    read_standings,
    recount_all,
)
from tests.databases import Database
from tests.factories import Happened, at
from worker.progress.store import Store
from worker.repair.recount import Scope, Verify, connect_to_recount
from worker.settings import Settings

T = TypeVar("T")
HISTORIES = int(os.environ.get("HISTORIES", "10000"))
SEED = int(os.environ.get("SEED", "18"))
LEARNERS = 100  # of each course, which share its versions and its recount
LESSONS = ["ä", "b", "c", "d", "e"]
HOURS = 12  # few, so that events and publications meet
KINDS: dict[type[LessonEvent], int] = {
    LessonCompleted: 70,
    LessonUncompleted: 10,
    LessonWaived: 4,
    LessonWaiverWithdrawn: 4,
    CourseAccessed: 8,
    ProgressReset: 4,
}


def draw_event(rng: random.Random, user: UUID, course: UUID) -> LessonEvent:
    [kind] = rng.choices(list(KINDS), list(KINDS.values()))
    values = {"user_id": user, "course_id": course, "lesson_id": rng.choice(LESSONS), "reason": "known"}
    total = rng.choice([None, 1, 2, 5])
    return kind.model_validate({**values, "total_lessons": total})  # which takes of these what it has


def draw_history(rng: random.Random, course: UUID) -> list[Happened]:
    """Draws the events of one learner in the course."""
    user = UUID(int=rng.getrandbits(128))
    return [(draw_event(rng, user, course), at(rng.randrange(HOURS))) for _ in range(rng.randint(1, 9))]


def draw_course(rng: random.Random) -> tuple[list[Published], list[Happened]]:
    """Draws up to four versions of a course, with any numbers, and the events of its learners."""
    course = UUID(int=rng.getrandbits(128))
    numbers = rng.sample(range(1, 6), rng.randint(1, 4))
    published = [(draw_version(rng, course, number, LESSONS), at(rng.randrange(HOURS))) for number in numbers]
    return published, [event for _ in range(LEARNERS) for event in draw_history(rng, course)]


def cut(rng: random.Random, values: Sequence[T], size: int) -> list[Sequence[T]]:
    """Cuts values, in a random order, into pieces of this size."""
    shuffled = rng.sample(values, len(values))
    return [shuffled[start : start + size] for start in range(0, len(shuffled), size)]


@pytest.mark.timeout(600)
async def test_random_histories_end_as_the_rules_of_versions_say(
    database_settings: Settings, connection: asyncpg.Connection
) -> None:
    rng = random.Random(SEED)
    published, happened = [], []
    for _ in range(max(1, HISTORIES // LEARNERS)):
        versions, events = draw_course(rng)
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
