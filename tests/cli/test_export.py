"""The command `export`: the file is whole or not there, and each end has its status."""

import json
import os
import signal
from pathlib import Path

import asyncpg
import pytest

from tests.command_line import NOWHERE, run, start
from tests.databases import invent
from tests.factories import COURSE, USER
from tests.processes import environment, eventually
from worker.settings import Settings


async def test_a_file_has_a_line_for_each_fact_and_the_command_says_how_many(
    database_settings: Settings, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    await invent(connection, USER, COURSE, 3)
    file = tmp_path / "lessons.csv"

    status, output, errors = run("export", "lessons", "-o", str(file), **environment(database_settings))

    assert (status, output, errors) == (0, "", "4 lines of 1 progress rows written\n")
    assert file.read_bytes().startswith(b"event,user,course,lesson,total,time,reason\r\n")
    assert os.listdir(tmp_path) == [file.name]


async def test_standard_output_has_the_file_and_nothing_else(
    database_settings: Settings, connection: asyncpg.Connection
) -> None:
    await invent(connection, USER, COURSE, 2)

    status, output, _ = run("export", "progress", "--format", "jsonl", **environment(database_settings))

    assert status == 0
    assert json.loads(output)["lessons_completed"] == 2


@pytest.mark.processes
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["lessons"], 3, "course-progress: "),
        (["lessons", "--format", "xapi"], 2, "add --site https://"),
        (["progress", "-o", "nowhere/progress.csv"], 3, "cannot write nowhere/progress.csv: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], status: int, said: str) -> None:
    found, output, errors = run("export", *arguments, **NOWHERE)

    assert (found, output) == (status, "")
    assert said in errors.splitlines()[-1]


async def test_ctrl_c_leaves_no_file(
    database_settings: Settings, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    async def waits() -> bool:
        asked = "select count(*) from pg_locks l join pg_database d on d.oid = l.database where not granted"
        return bool(await connection.fetchval(f"{asked} and datname = current_database()"))

    async with connection.transaction():
        await connection.execute("lock table course_progress_all")
        file = tmp_path / "progress.csv"
        process = start("export", "progress", "-o", str(file), **environment(database_settings))
        await eventually(waits)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)

    assert (process.returncode, output, errors.strip()) == (130, "", "")
    assert os.listdir(tmp_path) == []
