"""The command: its exit status, what it prints, and how it ends."""

import json
import signal

import asyncpg
import pytest

from tests.command_line import NOWHERE, run, start
from tests.factories import COURSE, USER, completed
from tests.processes import Workers, environment, eventually
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


async def test_lessons_without_a_progress_row_are_told(
    database_settings: Settings, connection: asyncpg.Connection
) -> None:
    await connection.execute("insert into lesson_progress values ($1, $2, now(), now(), null, true, 'a')", USER, COURSE)

    status, output, _ = run("verify", **environment(database_settings))

    assert (status, output) == (1, f"user {USER} course {COURSE}: lesson rows without a progress row\n")


@pytest.mark.parametrize("option", [[], ["--fix"]])
def test_what_it_cannot_look_at_is_one_line_and_status_3(option: list[str]) -> None:
    status, output, errors = run("verify", *option, **NOWHERE)

    assert (status, output, errors.count("\n")) == (3, "", 1)


async def test_ctrl_c_ends_it_at_once(database_settings: Settings, connection: asyncpg.Connection) -> None:
    async def waits() -> bool:
        return bool(
            await connection.fetchval(
                "select count(*) from pg_locks l join pg_database d on d.oid = l.database"
                " where datname = current_database() and not granted"
            )
        )

    async with connection.transaction():
        await connection.execute("lock table course_progress_all")
        process = start("verify", **environment(database_settings))
        await eventually(waits)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)

    assert (process.returncode, output, errors.strip()) == (130, "", "")
