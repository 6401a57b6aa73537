"""The commands show certificates, plan what is wished of them, and find those that are missing."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.command_line import run
from tests.databases import NOON
from tests.processes import environment
from worker.settings import Settings

CODE, OTHER = "kq2vxhd5z7b3wmeyrjt4ncug6a", "a" * 26
USER, COURSE = uuid4(), uuid4()


async def put(connection: asyncpg.Connection, code: str, version: int, status: str = "valid") -> None:
    await connection.execute(
        "insert into certificate (code, user_id, course_id, course_version, completion_number, name, title,"
        " completed_on, completed_at, issued_at, status, status_at, rendered_with, credential)"
        " values ($1, $2, $3, $4, 1, 'Ada', 'Knots', $5::timestamptz::date, $5, $5, $6, $5, '{}', '{}')",
        *(code, USER, COURSE, version, NOON, status),
    )


async def complete(connection: asyncpg.Connection) -> None:
    """Has USER complete COURSE in version 1 with number 1, long ago and without a transition."""
    await connection.execute(
        "insert into course_progress_all (user_id, course_id, last_accessed_at, completed_at, completion_number,"
        " course_version, lessons_completed, total_lessons, updated_at) values ($1, $2, $3, $3, 1, 1, 1, 1, $3)",
        *(USER, COURSE, NOON),
    )


async def certificates(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    return await asyncio.to_thread(run, "certificates", *arguments, **environment(settings))


@pytest.fixture
async def two(connection: asyncpg.Connection) -> None:
    await put(connection, CODE, 1)
    await put(connection, OTHER, 2, "revoked")


async def test_list_prints_each_without_a_name(two: None, database_settings: Settings) -> None:
    status, output, _ = await certificates(database_settings, "list", "--user", str(USER))
    assert (status, output.count("\n"), "Ada" in output) == (0, 2, False)
    assert f"{CODE} valid: user {USER} course {COURSE} version 1, Knots" in output

    status, output, _ = await certificates(database_settings, "list", "--status", "revoked", "--json")
    assert (status, json.loads(output)["code"]) == (0, OTHER)


async def test_show_prints_all_of_one(two: None, database_settings: Settings) -> None:
    status, output, _ = await certificates(database_settings, "show", CODE)

    found: dict[str, Any] = json.loads(output)
    assert (status, found["name"], found["completed_at"]) == (0, "Ada", NOON.isoformat())

    status, _, errors = await certificates(database_settings, "show", "b" * 26)
    assert (status, errors) == (1, f"course-progress: no certificate has the code {'b' * 26}\n")


async def test_revoke_and_reissue_plan_what_effects_do(
    two: None, database_settings: Settings, connection: asyncpg.Connection
) -> None:
    status, output, _ = await certificates(database_settings, "revoke", CODE, "--reason", "cheated")
    assert (status, "planned" in output) == (0, True)
    status, _, _ = await certificates(database_settings, "reissue", OTHER)

    wishes = await connection.fetch("select code, wish, wish_reason from certificate order by code desc")
    assert [tuple(row) for row in wishes] == [(CODE, "revoke", "cheated"), (OTHER, "reissue", None)]
    assert await connection.fetchval("select key from effect where kind = 'certificate'") == f"{USER}/{COURSE}"


@pytest.mark.parametrize("reason", ["", "x" * 501])
async def test_a_reason_has_some_length(two: None, database_settings: Settings, reason: str) -> None:
    status, _, errors = await certificates(database_settings, "revoke", CODE, "--reason", reason)

    assert (status, "1 to 500 characters" in errors) == (2, True)


async def test_reconcile_says_what_is_missing_and_plans_it(
    database_settings: Settings, connection: asyncpg.Connection
) -> None:
    assert (await certificates(database_settings, "reconcile"))[0] == 0
    await complete(connection)
    await put(connection, OTHER, 7)
    await connection.execute("update certificate set completion_number = 7")

    status, output, errors = await certificates(database_settings, "reconcile")
    assert status == 1
    missing, unfounded = output.splitlines()
    assert missing.startswith(f"user {USER} course {COURSE} version 1: no certificate for completion 1 of ")
    assert missing.endswith("course event not seen: does `course-progress effects` run, and is the outbox empty?")
    assert f"certificate {OTHER} is valid, and completion 7 was never announced" in unfounded
    assert "1 certificates missing, 1 without a completion" in errors

    status, output, errors = await certificates(database_settings, "reconcile", "--fix", "--json")
    assert (status, "planned for 1" in errors) == (1, True)
    assert [json.loads(line)["found"] for line in output.splitlines()] == ["missing", "without a completion"]
    assert await connection.fetchval("select count(*) from effect") == 1


@pytest.mark.processes
async def test_reconcile_has_a_status_of_its_own_for_what_it_cannot_compare() -> None:
    elsewhere = Settings(database_url="postgresql://127.0.0.1:1/none", kafka_bootstrap_servers="127.0.0.1:1")

    status, _, errors = await certificates(elsewhere, "reconcile")

    assert (status, "PostgreSQL does not answer" in errors) == (3, True)
