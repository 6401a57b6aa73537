"""Every damage to a progress row is found and repaired, and nothing that a worker does is taken for damage."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given

from events.models import course_event_id
from tests.databases import Database
from tests.deliveries import ALL_KINDS, Delivery, deliveries, real_sql
from tests.factories import COURSE, OTHER_USER, USER, at, completed, histories, reset
from tests.processes import eventually
from tests.repair.recounting import PARTITIONS, ROW, differences, repaired
from worker.postgres.connection import query
from worker.progress.store import Store
from worker.repair.recount import Repair, Scope, connect_to_recount
from worker.settings import Settings


@pytest.fixture
async def database(database_settings: Settings) -> AsyncIterator[Database]:
    """Its connection is the one that verify works on."""
    store, connection = Store(database_settings), await connect_to_recount(database_settings)
    database = Database(store, connection)
    await database.empty()
    yield database
    await store.close()
    await connection.close()


async def damage(database: Database, statement: str, *arguments: Any) -> None:
    """What no worker would write: without the constraints that refuse some of it."""
    await database.connection.execute(
        "alter table course_progress_all drop constraint complete_has_its_time,"
        " drop constraint if exists started_before_completed"
    )
    assert (await database.connection.execute(statement, *arguments)).split()[-1] != "0"


@real_sql
@given(delivery=deliveries(*ALL_KINDS))
async def test_no_history_of_events_leaves_a_difference(database: Database, delivery: Delivery) -> None:
    await database.empty()

    for batch in [*delivery.batches, delivery.happened]:
        await database.apply(batch)

        assert await differences(database.connection) == []


async def test_a_start_that_a_reset_left_in_doubt_is_no_difference(database: Database) -> None:
    """A batch with events from both sides of a reset that is known: which was the first after it is not."""
    await database.apply([reset(3)])
    await database.apply([completed("a", 1), completed("b", 4), completed("a", 5)])

    [row] = await database.connection.fetch("select started_at from course_progress")
    assert row["started_at"] == at(5)
    assert await differences(database.connection) == []


HALF = [completed("a", 1), completed("b", 5, total=3)]
WHOLE = [completed("a", 1), completed("b", 5)]


@pytest.mark.parametrize(
    ("history", "broken", "found", "recounted"),
    [
        (HALF, ROW + "lessons_completed = 1", {"lessons_completed": 1}, {"lessons_completed": 2}),
        (HALF, ROW + "lessons_completed = 0", {"lessons_completed": 0}, {"lessons_completed": 2}),
        (HALF, "delete from lesson_progress where lesson_id = 'a'", {"lessons_completed": 2}, {"lessons_completed": 1}),
        (
            HALF,
            ROW + "last_accessed_at = last_accessed_at - interval '1 minute'",
            {"last_accessed_at": at(5) - timedelta(minutes=1)},
            {"last_accessed_at": at(5)},
        ),
        (
            HALF,
            ROW + "last_accessed_at = null, started_at = null",
            {"last_accessed_at": None, "started_at": None},
            {"last_accessed_at": at(5), "started_at": at(1)},
        ),
        (HALF, ROW + "started_at = last_accessed_at", {"started_at": at(5)}, {"started_at": at(1)}),
        (HALF, ROW + "completed_at = started_at", {"completed_at": at(1)}, {"completed_at": None}),
        (HALF, ROW + "completion_number = -1", {"completion_number": -1}, {"completion_number": 0}),
        (WHOLE, ROW + "completed_at = completed_at + interval '1s'", None, {"completed_at": at(5)}),
        (WHOLE, ROW + "completed_at = started_at - interval '1s'", None, {"completed_at": at(5)}),
        ([reset(3), completed("a", 4)], ROW + "started_at = reset_at", {"started_at": at(3)}, {"started_at": at(4)}),
        ([reset(3), completed("a", 4, 1)], ROW + "completed_at = reset_at", None, {"completed_at": at(4)}),
    ],
)
async def test_a_damaged_row_is_found_and_repaired_once(
    database: Database, history: Any, broken: str, found: dict[str, Any] | None, recounted: dict[str, Any]
) -> None:
    await database.apply(history)
    await database.take_outbox()
    before = await database.connection.fetch("select * from course_progress")
    await damage(database, broken)

    [difference] = await differences(database.connection)
    [done] = await repaired(database.connection)

    assert (difference.user_id, difference.course_id, difference.repaired) == (USER, COURSE, False)
    assert difference.recounted == recounted
    assert found in (None, difference.found)
    assert (done.found, done.recounted, done.repaired) == (difference.found, recounted, True)
    assert await differences(database.connection) == []
    if not broken.startswith("delete"):
        after = await database.connection.fetch("select * from course_progress")
        assert [same(row) for row in after] == [same(row) for row in before]


def same(row: asyncpg.Record) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "updated_at"}


async def outbox(database: Database) -> list[tuple[str, UUID, dict[str, Any]]]:
    rows = await database.connection.fetch("select * from outbox order by seq")
    assert {(row["source_topic"], row["source_partition"] in PARTITIONS) for row in rows} <= {("lesson-events", True)}
    return [(row["type"], row["id"], json.loads(row["payload"])) for row in rows]


async def test_a_completion_that_was_lost_is_announced_under_the_next_number(database: Database) -> None:
    await database.apply(WHOLE)
    await database.take_outbox()
    await damage(database, ROW + "lessons_completed = 1, completed_at = null")

    [done] = await repaired(database.connection)

    assert done.announce == "CourseCompleted"
    assert done.recounted == {"lessons_completed": 2, "completed_at": at(5), "completion_number": 2}
    [(type_name, id, payload)] = await outbox(database)
    assert (type_name, id) == ("CourseCompleted", course_event_id("CourseCompleted", USER, COURSE, 2, at(5)))
    assert (payload["completion_number"], payload["completed_at"]) == (2, at(5).isoformat())
    assert await differences(database.connection) == []


async def test_a_completion_without_a_number_is_announced_under_the_first(database: Database) -> None:
    await database.apply(WHOLE)
    [first] = [row["id"] for row in await database.take_outbox()]
    await damage(database, ROW + "completion_number = 0")

    [done] = await repaired(database.connection)

    assert (done.announce, done.recounted) == ("CourseCompleted", {"completion_number": 1})
    assert [id for _, id, _ in await outbox(database)] == [first]  # which subscribers know, or learn at last


async def test_a_completion_that_was_never_earned_is_revoked(database: Database) -> None:
    await database.apply(WHOLE)
    await database.take_outbox()
    await damage(database, "delete from lesson_progress where lesson_id = 'a'")

    [done] = await repaired(database.connection)

    assert done.announce == "CourseCompletionRevoked"
    assert done.recounted == {"lessons_completed": 1, "completed_at": None}
    [(type_name, id, payload)] = await outbox(database)
    assert (type_name, id) == (done.announce, course_event_id(done.announce, USER, COURSE, 1, at(5)))
    assert payload["revoked_at"] == at(5).isoformat()
    assert await differences(database.connection) == []


async def test_lessons_from_before_a_reset_are_deleted(database: Database) -> None:
    await database.apply([reset(3), completed("a", 4)])
    await damage(
        database,
        "insert into lesson_progress values ($1, $2, $3, $3, null, true, 'b'), ($1, $2, $3, null, $3, false, 'c')",
        USER,
        COURSE,
        at(3),
    )

    [difference] = await differences(database.connection)
    [done] = await repaired(database.connection)

    # A reset beside a late un-completion leaves a row like that of c, which counts for nothing.
    assert (difference.lessons_before_reset, done.lessons_before_reset) == (1, 2)
    assert await differences(database.connection) == []
    assert await database.connection.fetchval("select array_agg(lesson_id) from lesson_progress") == ["a"]


async def test_lessons_without_a_progress_row_get_one(database: Database) -> None:
    await database.apply(HALF)
    await damage(database, "delete from course_progress_all")

    [difference] = await differences(database.connection)
    [done] = await repaired(database.connection)

    assert (difference.id, difference.user_id, difference.course_id) == (None, USER, COURSE)
    assert done.recounted == {"lessons_completed": 2, "last_accessed_at": at(5), "started_at": at(1)}
    assert await differences(database.connection) == []


async def test_every_chunk_is_looked_at(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.repair.recount.CHUNK", 7)
    monkeypatch.setattr("worker.repair.recount.LESSON_CHUNK", 3)
    happened = histories(learners=40, seed=11)
    await database.apply(happened)
    await database.connection.execute("delete from course_progress_all where id % 3 = 0")
    await damage(database, ROW + "completion_number = completion_number - 100")
    rows = await database.connection.fetchval("select count(*) from course_progress_all")
    alone = await database.connection.fetchval(
        "select count(distinct (user_id, course_id)) from lesson_progress l where not exists"
        " (select from course_progress_all p where p.user_id = l.user_id and p.course_id = l.course_id)"
    )

    found = await differences(database.connection)

    assert len({(f.user_id, f.course_id) for f in found}) == len(found)
    assert (len([f for f in found if f.id]), len([f for f in found if not f.id])) == (rows, alone)
    assert alone > 3


async def test_only_the_course_and_the_time_asked_for_are_looked_at(database: Database) -> None:
    await database.apply(HALF)
    await damage(database, ROW + "lessons_completed = 1, updated_at = now() - interval '1 hour'")
    now = datetime.now(UTC)

    assert len(await differences(database.connection, Scope(course_id=COURSE))) == 1
    assert len(await differences(database.connection, Scope(since=now - timedelta(hours=2)))) == 1
    assert await differences(database.connection, Scope(course_id=uuid4())) == []
    assert await differences(database.connection, Scope(since=now)) == []


async def test_lesson_rows_are_looked_up_by_index_without_statistics_and_with(database: Database) -> None:
    await database.apply(histories(learners=300, seed=12))
    everything = (0, 2**62, None, None)

    for _ in range(2):
        plans = [
            await plan(database, "repair/recount", *everything),
            await plan(database, "repair/lessons_without_row", None, None, OTHER_USER, COURSE, None),
            await plan(database, "repair/lesson_chunk", USER, COURSE, 50),
            await plan(database, "repair/progress_chunk", 0, 50),
        ]
        assert "Seq Scan" not in "".join(plans)
        assert re.search(r"lesson_progress_pkey.*\n.*Index Cond: .*= p.user_id.*= p.course_id", plans[0])
        await database.connection.execute("analyze")


async def plan(database: Database, name: str, *arguments: Any) -> str:
    rows = await database.connection.fetch(f"explain {query(name)}", *arguments)
    return "\n".join(row[0] for row in rows)


async def test_a_repair_waits_for_the_worker_that_is_writing_the_row(
    database: Database, connection: asyncpg.Connection
) -> None:
    await database.apply(HALF)
    await damage(database, ROW + "started_at = last_accessed_at")
    [difference] = await differences(database.connection)

    async def repair_waits() -> bool:
        return bool(await connection.fetchval("select count(*) from pg_locks where not granted and pid = $1", pid))

    pid = database.connection.get_server_pid()
    async with connection.transaction():
        await connection.execute(
            "insert into lesson_progress values ($1, $2, $3, $3, null, true, 'c')", USER, COURSE, at(4)
        )
        await connection.execute(ROW + "lessons_completed = 3, completed_at = $1, completion_number = 1", at(5))
        repairing = asyncio.create_task(repaired(database.connection))
        await eventually(repair_waits)
    [done] = await repairing

    assert difference.recounted == done.recounted == {"started_at": at(1)}
    assert await differences(database.connection) == []


async def test_what_a_worker_has_put_right_meanwhile_is_not_repaired(database: Database) -> None:
    await database.apply(HALF)
    await damage(database, ROW + "started_at = last_accessed_at")
    [difference] = await differences(database.connection)
    await database.apply([completed("a", 1)])

    assert await Repair(database.connection, "lesson-events", PARTITIONS)(difference) is None
