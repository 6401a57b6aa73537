"""The command `verify`, on rows that a worker wrote."""

import json

import asyncpg

from tests.command_line import run
from tests.factories import COURSE, USER, completed
from tests.processes import Workers, environment
from tests.topics import publish
from worker.settings import Settings


async def test_it_reports_then_repairs_then_finds_nothing(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    variables = environment(settings)
    await publish(settings, [completed("a", 1), completed("b", 2)])
    workers.start("--until-idle").wait()
    assert run("verify", **variables) == (0, "", "1 progress rows recounted: 0 differ\n")
    await connection.execute("update course_progress_all set lessons_completed = 1, completed_at = null")

    status, output, errors = run("verify", **variables)
    fixed = run("verify", "--fix", "--json", "--course", str(COURSE), **variables)

    assert (status, errors) == (1, "1 progress rows recounted: 1 differ\n")
    assert output.startswith(f"user {USER} course {COURSE}: lessons_completed 1, recounted 2; completed_at none, ")
    assert (fixed[0], fixed[2]) == (1, "1 progress rows recounted: 1 repaired\n")
    told = json.loads(fixed[1])
    assert (told["user_id"], told["repaired"], told["announce"]) == (str(USER), True, "CourseCompleted")
    assert told["recounted"] == {
        "lessons_completed": 2,
        "completed_at": "2026-01-01T02:00:00+00:00",
        "completion_number": 2,
    }
    assert run("verify", "--since", "2026-01-01T00:00:00Z", **variables)[0] == 0
