"""The command: its exit status, what it prints, and how it ends."""

import signal

import asyncpg
import pytest

from tests.command_line import NOWHERE, run, start
from tests.factories import COURSE, USER
from tests.processes import environment, eventually
from worker.settings import Settings


async def test_lessons_without_a_progress_row_are_told(
    database_settings: Settings, connection: asyncpg.Connection
) -> None:
    await connection.execute("insert into lesson_progress values ($1, $2, now(), now(), null, true, 'a')", USER, COURSE)

    status, output, _ = run("verify", **environment(database_settings))

    assert (status, output) == (1, f"user {USER} course {COURSE}: lesson rows without a progress row\n")


@pytest.mark.processes
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
