"""Explanations of thousands of random histories, recomputed from their JSON alone, equal the rows that SQL wrote.

`HISTORIES=100000 SEED=7 pytest tests/courses/test_explanations.py` plays more of them, or others.
"""

import json
import os
import random
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from events.catalog import CoursePublished
from tests.catalogs import Published, publish_versions, recount_all
from tests.databases import Database
from tests.explanations import recompute
from tests.factories import Happened
from tests.histories import cut, draw_course
from worker.courses.explain import explain
from worker.courses.explain_facts import read_facts
from worker.progress.store import Store
from worker.settings import Settings

HISTORIES = int(os.environ.get("HISTORIES", "10000"))
SEED = int(os.environ.get("SEED", "22"))
LEARNERS = 100  # of each course
WITHOUT_VERSIONS = 0.1  # of the courses

ROWS = """
select user_id, course_id, course_version, lessons_completed, total_lessons, progress_percentage, lessons_waived,
       completed_at, completion_number
from course_progress
"""


@pytest.mark.timeout(600)
async def test_explanations_of_random_histories_equal_the_rows(
    database_settings: Settings, connection: asyncpg.Connection
) -> None:
    published, happened = draw(random.Random(SEED))
    await play(database_settings, connection, published, happened)
    rows = {(row["user_id"], row["course_id"]): dict(row) for row in await connection.fetch(ROWS)}
    assert len(rows) > 0.8 * HISTORIES

    wrong = []
    reasons: set[str] = set()
    for user, course in {(event.user_id, event.course_id) for event, _ in happened}:
        found = explain(await read_facts(connection, user, course))
        text = found.model_dump_json(by_alias=True)
        reasons |= {found.version.reason, *(step.verdict for step in found.versions)}
        reasons |= {ignored.why for ignored in found.not_counting} | {lesson.state for lesson in found.lessons}
        if (computed := recompute(json.loads(text))) != (wanted := expect(rows.get((user, course)), computed)):
            wrong.append((wanted, computed, text))
        elif not found.agrees:
            wrong.append(("agrees", computed, text))

    assert wrong[:1] == []
    assert reasons >= {
        *("complete", "newest", "no-version"),
        *("completed", "kept", "met-again", "reopened", "late", "not-complete"),
        *("optional", "not-in-version", "unknown", "before-reset", "waiver-withdrawn"),
        *("waived", "replaced", "missing"),
    }


def draw(rng: random.Random) -> tuple[list[Published], list[Happened]]:
    """Draws courses, some without a version, and the events of their learners."""
    published: list[Published] = []
    happened: list[Happened] = []
    for _ in range(max(1, HISTORIES // LEARNERS)):
        versions, events = draw_course(rng, LEARNERS)
        published += versions if rng.random() > WITHOUT_VERSIONS else []
        happened += events
    return published, happened


async def play(
    settings: Settings, connection: asyncpg.Connection, published: list[Published], happened: list[Happened]
) -> None:
    """Applies events, some of them twice, and versions and recounts between them, in a random order."""
    rng = random.Random(SEED)
    arriving = happened + rng.sample(happened, len(happened) // 5)
    steps: list[Any] = [*cut(rng, arriving, 1000), *cut(rng, published, 25), *["recount"] * 3]
    rng.shuffle(steps)
    database = Database(Store(settings), connection)
    await database.empty()
    for step in steps:
        match step:
            case "recount":
                await recount_all(settings)
            case [(CoursePublished(), _), *_]:
                await publish_versions(settings, step)
            case _:
                await database.apply(step)
    await recount_all(settings)
    await database.store.close()


def expect(row: dict[str, Any] | None, computed: dict[str, Any]) -> dict[str, Any]:
    """Returns what an explanation must come to. Without a row nothing is met, whatever is needed."""
    if row is None:
        unmet = {"lessons_completed": 0, "progress_percentage": 0, "lessons_waived": 0, "completed_at": None}
        return computed | unmet | {"completion_number": None}
    assert isinstance(row["user_id"], UUID)
    at: datetime | None = row["completed_at"]
    return {name: value for name, value in row.items() if name not in ("user_id", "course_id")} | {"completed_at": at}
