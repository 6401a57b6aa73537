"""The commands list badges, show a learner's, and say what a file of them would award."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from tests.command_line import run
from tests.processes import environment
from worker.settings import Settings

USERS = [UUID(int=n) for n in range(1, 4)]
FILE = """
[two]
title = "Two lessons"
description = "d"
when = { lessons = 2 }
"""


async def badges(settings: Settings, *arguments: str, **variables: str) -> tuple[int, str, str]:
    return await asyncio.to_thread(run, "badges", *arguments, **environment(settings) | variables)


@pytest.fixture
async def studied(connection: asyncpg.Connection) -> None:
    """Has three learners complete one, two and three lessons; the second has a badge for a week."""
    now = datetime.now(UTC)
    await connection.executemany(
        "insert into studied_lesson (user_id, course_id, lesson_id, completed_at) values ($1, $1, $2, $3)",
        [(user, f"l{n}", now) for number, user in enumerate(USERS, start=1) for n in range(number)],
    )
    await connection.execute(
        "insert into badge_award (user_id, badge, number, title, description, earned_on, cause, fresh)"
        " values ($1, 'streak-7', 1, 'A week', 'd', $2, 'learner', true)",
        *(USERS[1], (now - timedelta(days=1)).date()),
    )


async def test_list_counts_who_has_each(studied: None, database_settings: Settings, tmp_path: Path) -> None:
    status, output, errors = await badges(database_settings, "list")
    assert (status, errors) == (0, "")
    assert "streak-7: A week (streak = 7): 1 learners" in output
    assert "first-course: First course (courses = 1): 0 learners" in output

    file = tmp_path / "badges.toml"
    file.write_text(FILE)
    status, output, _ = await badges(database_settings, "list", "--json", PROGRESS_BADGES_FILE=str(file))
    found = [json.loads(line) for line in output.splitlines()]
    assert [(each["badge"], each["rule"], each["learners"]) for each in found] == [
        ("two", "lessons = 2", 0),
        ("streak-7", "declared no more", 1),
    ]


async def test_show_prints_what_a_learner_has_and_what_is_next(studied: None, database_settings: Settings) -> None:
    status, output, _ = await badges(database_settings, "show", "--user", str(USERS[1]))
    assert status == 0
    assert "streak: 0 days, at most 0" in output
    assert "streak-7: A week, earned on" in output
    assert "hundred-lessons: 2 of 100 lessons" in output

    _, output, _ = await badges(database_settings, "show", "--user", str(USERS[1]), "--json")
    assert [badge["badge"] for badge in json.loads(output)["badges"]] == ["streak-7"]


async def test_check_says_how_many_would_be_awarded(
    studied: None, database_settings: Settings, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "badges.toml"
    file.write_text(FILE)

    status, output, errors = await badges(database_settings, "check", str(file))

    assert (status, output, errors) == (0, "two: would be awarded to 2 learners; 0 have it\n", "")
    assert await connection.fetchval("select count(*) from badge_award") == 1


async def test_check_says_what_is_wrong_with_a_file(database_settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "badges.toml"
    file.write_text(FILE.replace("lessons", "score"))

    status, _, errors = await badges(database_settings, "check", str(file))

    assert status == 1
    assert errors.startswith(f"course-progress: {file}: badge two: when: no condition is called score: there are ")
