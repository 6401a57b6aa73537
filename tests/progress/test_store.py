"""One statement per batch: what it refuses, and what meets it."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition

from events.models import COURSE_EVENTS, CourseAccessed, LessonCompleted, ProgressReset
from tests.bench.floor import BIG, Recorder, nodes, planned, writing
from tests.intake.fakes import record
from worker.errors import DatabaseUnavailable, SetupError, ValueRefused
from worker.progress.fold import FoldedBatch, fold
from worker.progress.store import Store
from worker.settings import Settings
from worker.stream.batch import Batch
from worker.stream.outcome import Occurrence
from worker.stream.sink import Applied, OffsetsMoved, Span, StoredOffset

P0, P1 = TopicPartition("lesson-events", 0), TopicPartition("lesson-events", 1)
NOW = datetime.now(UTC).replace(microsecond=0)
USER, COURSE = uuid4(), uuid4()
NOTHING = fold([])


@pytest.fixture
async def store(database_settings: Settings) -> AsyncIterator[Store]:
    store = Store(database_settings)
    yield store
    await store.close()


def one_lesson(lesson: str = "a", user: UUID = USER, tp: TopicPartition = P0, total: int = 500) -> FoldedBatch:
    event = LessonCompleted(user_id=user, course_id=COURSE, lesson_id=lesson, total_lessons=total)
    return fold([Occurrence(NOW, event, *tp)])


async def test_a_stale_batch_writes_nothing_and_learns_where_its_partitions_are(
    store: Store, connection: asyncpg.Connection
) -> None:
    await store.apply(NOTHING, {P0: Span(None, 10), P1: Span(None, 5)})

    outcome = await store.apply(one_lesson(), {P0: Span(9, 12), P1: Span(5, 6)})

    assert outcome == OffsetsMoved({P0: 10})
    assert await store.stored_offsets([P0, P1]) == {P0: StoredOffset(10), P1: StoredOffset(5)}
    assert await connection.fetchval("select count(*) from course_progress_all") == 0


async def test_a_stale_batch_with_a_reset_writes_nothing(store: Store, connection: asyncpg.Connection) -> None:
    await store.apply(one_lesson(), {P0: Span(None, 1)})
    reset = Occurrence(NOW + timedelta(hours=1), ProgressReset(user_id=USER, course_id=COURSE), *P0)

    outcome = await store.apply(fold([reset]), {P0: Span(None, 2)})

    assert outcome == OffsetsMoved({P0: 1})
    assert await connection.fetchval("select lessons_completed from course_progress") == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
async def test_the_last_access_keeps_its_offset_from_utc(
    store: Store, connection: asyncpg.Connection, order: tuple[int, ...]
) -> None:
    event = CourseAccessed(user_id=USER, course_id=COURSE)
    told = [(0, 60), (1, -480), (1, -510)]  # hour, and minutes; of two at one instant, the largest

    for offset, (hour, minutes) in enumerate(told[place] for place in order):
        occurrence = Occurrence(NOW + timedelta(hours=hour), event, *P0, utc_offset=minutes)
        await store.apply(fold([occurrence]), {P0: Span(offset or None, offset + 1)})

    assert await connection.fetchval("select utc_offset from course_progress") == -480


async def test_a_partition_nobody_stored_has_no_offset(store: Store) -> None:
    assert await store.stored_offsets([P0]) == {P0: None}


async def test_writers_that_meet_on_one_row_lose_no_lesson(
    database_settings: Settings, connection: asyncpg.Connection
) -> None:
    async with AsyncExitStack() as closing:

        async def writer(number: int) -> int:
            """Completes 20 lessons, each in a batch of its own; how often it had to repeat one."""
            store = Store(database_settings)
            closing.push_async_callback(store.close)
            tp, offset, repeated = TopicPartition("lesson-events", number), None, 0
            for lesson in range(20):
                while True:
                    try:
                        batch = one_lesson(f"{number}-{lesson}", tp=tp, total=100)
                        assert isinstance(await store.apply(batch, {tp: Span(offset, lesson + 1)}), Applied)
                        break
                    except DatabaseUnavailable:
                        repeated += 1
                offset = lesson + 1
            return repeated

        repetitions = await asyncio.gather(*map(writer, range(5)))

    row = await connection.fetchrow("select lessons_completed, completed_at, completion_number from course_progress")
    assert row is not None
    assert tuple(row) == (100, NOW, 1)
    assert sum(repetitions) > 0  # they did meet


async def test_a_refused_value_is_told_from_a_busy_database(store: Store, connection: asyncpg.Connection) -> None:
    await connection.execute("alter table lesson_progress add check (lesson_id <> 'poison')")

    with pytest.raises(ValueRefused):
        await store.apply(one_lesson("poison"), {P0: Span(None, 1)})

    assert isinstance(await store.apply(one_lesson(), {P0: Span(None, 1)}), Applied)


async def test_a_lost_connection_is_opened_again(store: Store, connection: asyncpg.Connection) -> None:
    await store.apply(NOTHING, {P0: Span(None, 1)})
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where pid <> pg_backend_pid() and datname = current_database()"
    )

    # Whether the driver has noticed already is a matter of luck; if not, it says so, in whatever words.
    with contextlib.suppress(DatabaseUnavailable):
        await store.apply(NOTHING, {P1: Span(None, 1)})

    assert isinstance(await store.apply(one_lesson(), {P0: Span(1, 2)}), Applied)


async def test_a_database_without_tables_says_what_to_run(admin_url: str) -> None:
    store = Store(Settings(database_url=f"{admin_url.rsplit('/', 1)[0]}/template1"))

    with pytest.raises(SetupError, match="course-progress migrate"):
        await store.stored_offsets([P0])

    await store.close()


async def test_a_database_without_the_newest_function_says_what_to_run(
    store: Store, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "drop function course_event_payload(text, uuid, uuid, integer, integer, integer, timestamptz, timestamptz, "
        "integer, text, text)"
    )

    with pytest.raises(SetupError, match=r"course_event_payload.*course-progress migrate"):
        await store.apply(one_lesson(), {P0: Span(None, 1)})


@pytest.mark.parametrize("url", ["postgresql://u:abSECRET#x@h/db", "postgresql://u:p?SECRET@h/db"])
async def test_an_unusable_url_is_told_without_the_password(url: str) -> None:
    with pytest.raises(SetupError, match="PROGRESS_DATABASE_URL") as caught:
        await Store(Settings(database_url=url)).stored_offsets([P0])

    assert "SECRET" not in str(caught.value)


async def test_a_revocation_by_reset_is_counted_as_a_transition(store: Store) -> None:
    await store.apply(one_lesson(total=1), {P0: Span(None, 1)})
    reset = Occurrence(NOW + timedelta(hours=1), ProgressReset(user_id=USER, course_id=COURSE), *P0)

    assert await store.apply(fold([reset]), {P0: Span(1, 2)}) == Applied(1)


async def test_a_duplicate_that_no_other_worker_inserted_is_a_mistake(
    store: Store, connection: asyncpg.Connection
) -> None:
    await store.apply(one_lesson(), {P0: Span(None, 1)})
    await connection.execute("alter table course_progress_all alter column id restart with 1")

    with pytest.raises(asyncpg.UniqueViolationError):
        await store.apply(one_lesson(user=uuid4()), {P0: Span(1, 2)})


@pytest.mark.parametrize("analysed", ["select", "analyze", "vacuum analyze"])
@pytest.mark.parametrize("rows", [0, 1, 3, 30, 3000])
async def test_the_plan_that_stays_looks_rows_up_by_their_whole_key_however_small_the_tables_were(
    database_settings: Settings, connection: asyncpg.Connection, rows: int, analysed: str
) -> None:
    await connection.execute(
        "insert into course_progress_all (user_id, course_id, lessons_completed)"
        f" select gen_random_uuid(), '{COURSE}', 1 from generate_series(1, {rows})"
    )
    await connection.execute(
        "insert into lesson_progress (user_id, course_id, lesson_id, completed, changed_at, completed_at)"
        " select user_id, course_id, 'a', true, now(), now() from course_progress_all"
    )
    await connection.execute(analysed)
    recorder, store = Recorder(), Store(database_settings)
    store._connection = recorder
    await store.apply(one_lesson(), {P0: Span(None, 1)})
    [(statement, arguments)] = recorder.calls

    async with writing(database_settings) as writer:
        plan = list(nodes(await planned(writer, statement, len(arguments))))

    looked_up = [
        (node["Relation Name"], *sorted(re.findall(r"(\w+) =", node.get("Index Cond") or node.get("TID Cond", ""))))
        for node in plan
        if node.get("Relation Name", "").startswith(BIG) and node["Node Type"] != "ModifyTable"
    ]
    assert sorted(looked_up) == [
        ("course_progress_all", "course_id", "user_id"),
        ("course_progress_all", "ctid"),
        ("lesson_progress", "course_id", "lesson_id", "user_id"),
        ("lesson_progress", "course_id", "user_id"),  # of a course that this batch completes
        ("lesson_progress", "ctid"),
    ]
    repeated = [
        child["CTE Name"]
        for node in plan
        if node["Node Type"] == "Nested Loop"
        for child in node["Plans"]
        if child["Parent Relationship"] == "Inner" and "CTE Name" in child
    ]
    assert repeated == []


async def test_the_tables_have_no_partitions_in_which_a_ctid_would_name_several_rows(
    connection: asyncpg.Connection,
) -> None:
    kinds = await connection.fetch(
        "select relkind::text from pg_class where oid = any ($1::text[]::regclass[])",
        ["course_progress_all", "lesson_progress"],
    )

    assert [kind for (kind,) in kinds] == ["r", "r"]


async def test_a_row_whose_commits_were_lost_is_announced_once_more_under_a_higher_number(
    store: Store, connection: asyncpg.Connection
) -> None:
    users = [uuid4() for _ in range(3)]
    events = [LessonCompleted(user_id=users[0], course_id=COURSE, lesson_id="a", total_lessons=1)]
    events += [LessonCompleted(user_id=user, course_id=COURSE, lesson_id="a", total_lessons=2) for user in users[1:]]
    entries = [(record(P0, n), Occurrence(NOW, event, *P0)) for n, event in enumerate(events)]
    again = Batch(entries, {P0: Span(None, 3, number_gap=40)})

    applied = await store.apply_batch(again)
    entries = [(record(P0, 3), Occurrence(NOW, events[1], *P0))]
    await store.apply_batch(Batch(entries, {P0: Span(3, 4, number_gap=40)}))

    rows = await connection.fetch(
        "select type, aggregateid as user, (payload->>'completion_number')::int as number, payload->>'cause' as cause"
        " from outbox where type <> 'ProgressMilestoneReached' order by seq"
    )
    said = sorted((users.index(UUID(row["user"])), row["type"], row["number"], row["cause"]) for row in rows)
    assert said == [
        (0, "CourseCompleted", 1, "learner"),
        (0, "CourseCompleted", 42, "recovered"),
        (1, "CourseCompletionRevoked", 41, "recovered"),
        (2, "CourseCompletionRevoked", 41, "recovered"),
    ]
    assert applied == Applied(4 + 3 + 2 + 2)  # with milestones
    numbers = await connection.fetch("select completion_number from course_progress order by 1")
    assert [row["completion_number"] for row in numbers] == [41, 41, 42]
    for row in await connection.fetch("select type, payload from outbox"):
        COURSE_EVENTS[row["type"]].model_validate_json(row["payload"])


async def test_a_row_of_two_partitions_rises_by_what_both_have_lost(
    store: Store, connection: asyncpg.Connection
) -> None:
    event = LessonCompleted(user_id=uuid4(), course_id=COURSE, lesson_id="a", total_lessons=1)
    entries = [(record(tp, 0), Occurrence(NOW, event, *tp)) for tp in (P0, P1)]

    await store.apply_batch(Batch(entries, {P0: Span(None, 1, number_gap=1), P1: Span(None, 1, number_gap=20)}))
    together = await connection.fetchval("select completion_number from course_progress")
    for n, span in enumerate([Span(1, 2, number_gap=1), Span(2, 3, number_gap=23), Span(3, 4, number_gap=23)], start=1):
        await store.apply_batch(Batch([(record(P0, n), Occurrence(NOW, event, *P0))], {P0: span}))

    assert together == 1 + 1 + 20 + 1
    assert await connection.fetchval("select completion_number from course_progress") == together + 23 + 1
