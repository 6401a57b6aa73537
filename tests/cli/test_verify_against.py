"""The command `verify --against`: what differs is printed, the worst first, and the exit status tells."""

import json
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from tests.command_line import NOWHERE, run
from tests.databases import invent
from tests.factories import COURSE, OTHER_USER, USER
from tests.processes import environment
from worker.settings import Settings

HEAD = "user,course,lessons_completed,completed_at\n"


async def test_what_this_system_exported_agrees_with_it(
    database_settings: Settings, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    await invent(connection, USER, COURSE, 3)
    await invent(connection, OTHER_USER, COURSE, 10_000)
    variables = environment(database_settings)
    for file in (tmp_path / "progress.csv", tmp_path / "progress.jsonl"):
        run("export", "progress", "--format", file.suffix[1:], "-o", str(file), **variables)

        assert run("verify", "--against", str(file), **variables) == (0, "", "2 agree, 0 differ\n")


async def test_differences_are_told_the_worst_first_and_each_as_json(
    database_settings: Settings, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    done, behind, alone = USER, OTHER_USER, UUID(int=99)
    await invent(connection, behind, COURSE, 3)
    await invent(connection, done, COURSE, 10_000)
    file = tmp_path / "table.csv"
    file.write_text(f"{HEAD}{done},{COURSE},9999,\n{behind},{COURSE},4,\n{alone},{COURSE},1,\n{alone},{COURSE},2,\nx\n")
    variables = environment(database_settings)

    status, output, errors = run("verify", "--against", str(file), **variables)
    _, as_json, _ = run("verify", "--against", str(file), "--json", **variables)

    headings = [line for line in output.splitlines() if not line.startswith(" ")]
    assert (status, headings) == (1, ["completed here only: 1", "another number of lessons: 1", "missing here: 1"])
    assert f"user {alone} course {COURSE}: there twice; the first counts" in errors
    assert errors.splitlines()[-2:] == ["2 lines malformed", "0 agree, 3 differ"]
    found = {each["kind"]: each for each in map(json.loads, as_json.splitlines())}
    assert found["missing here"]["here"] is None
    assert found["missing here"]["there"]["lessons"] == 1
    assert UUID(found["completed here only"]["user_id"]) == done


async def test_malformed_lines_count_unless_they_need_not(
    database_settings: Settings, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "table.csv"
    file.write_text(f"{HEAD}x\n")
    variables = environment(database_settings)

    assert run("verify", "--against", str(file), **variables)[0] == 1
    assert run("verify", "--against", str(file), "--lenient", **variables)[0] == 0


@pytest.mark.processes
@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--fix"], 2, "leave --fix and --since out"),
        (["--tolerance", "soon"], 2, "is not a duration such as"),
        (["--columns", "Name=grade"], 2, "what stands behind = is one of user, course"),
        ([], 3, "course-progress: "),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, options: list[str], status: int, said: str) -> None:
    file = tmp_path / "table.csv"
    file.write_text(HEAD)

    found, output, errors = run("verify", "--against", str(file), *options, **NOWHERE)

    assert (found, output) == (status, "")
    assert said in errors.splitlines()[-1]
