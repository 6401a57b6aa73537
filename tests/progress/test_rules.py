"""The rules of docs/rules.md hold in the real SQL: any order, repetition and batch split end as the model says."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given

from events.models import (
    CourseAccessed,
    LessonCompleted,
    LessonUncompleted,
    ProgressReset,
    course_event_id,
)
from tests.databases import Database
from tests.deliveries import ALL_KINDS, Delivery, deliveries, real_sql
from tests.factories import COURSE, USER, at, completed, reset, uncompleted
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.progress.store import Store
from worker.settings import Settings


@pytest.fixture
async def database(database_settings: Settings, connection: asyncpg.Connection) -> AsyncIterator[Database]:
    store = Store(database_settings)
    yield Database(store, connection)
    await store.close()


@real_sql
@given(delivery=deliveries(*ALL_KINDS))
async def test_any_order_repetition_and_batch_split_ends_as_the_model_says(
    database: Database, delivery: Delivery
) -> None:
    await database.empty()

    for batch in delivery.batches:
        await database.apply(batch)

    assert find_wrong_rows(expect_rows(delivery.happened), await read_rows(database.connection)) == []


@real_sql
@given(delivery=deliveries(*ALL_KINDS))
async def test_delivering_everything_again_announces_nothing(database: Database, delivery: Delivery) -> None:
    await database.empty()
    for batch in delivery.batches:
        await database.apply(batch)
    await database.take_outbox()

    await database.apply(delivery.happened)

    assert await database.take_outbox() == []
    assert find_wrong_rows(expect_rows(delivery.happened), await read_rows(database.connection)) == []


@real_sql
@given(delivery=deliveries(LessonCompleted, CourseAccessed))
async def test_delivering_completions_again_writes_no_row(database: Database, delivery: Delivery) -> None:
    await database.empty()
    for batch in delivery.batches:
        await database.apply(batch)
    before = await database.versions()

    await database.apply(delivery.happened)

    assert await database.versions() == before


@real_sql
@given(delivery=deliveries(LessonCompleted, LessonCompleted, LessonUncompleted, ProgressReset))
async def test_a_lesson_is_dated_by_its_first_completion_since_its_last_un_completion(
    database: Database, delivery: Delivery
) -> None:
    await database.empty()

    for batch in delivery.batches:
        await database.apply(batch)

    found = {
        (row["user_id"], row["lesson_id"]): row["completed_at"]
        for row in await database.connection.fetch("select * from lesson_progress where completed")
    }
    assert found == date_lessons(delivery.happened)


def date_lessons(happened: list[tuple[Any, datetime]]) -> dict[tuple[UUID, str], datetime]:
    """Returns the date of each lesson that is completed, by rules 1 and 6."""
    dates = {}
    for user, lesson in {(e.user_id, e.lesson_id) for e, _ in happened if not isinstance(e, ProgressReset)}:
        mine = [(e, t) for e, t in happened if e.user_id == user]
        start = max((t for e, t in mine if isinstance(e, ProgressReset)), default=at(-1))
        counting = [(e, t) for e, t in mine if t > start and getattr(e, "lesson_id", None) == lesson]
        undone = max((t for e, t in counting if isinstance(e, LessonUncompleted)), default=start)
        since = [t for e, t in counting if isinstance(e, LessonCompleted) and t >= undone]
        if since:
            dates[user, lesson] = min(since)
    return dates


@real_sql
@given(delivery=deliveries(*ALL_KINDS))
async def test_each_transition_is_announced_once_and_numbered(database: Database, delivery: Delivery) -> None:
    await database.empty()
    state: dict[UUID, tuple[bool, int]] = {}

    for batch in delivery.batches:
        await database.apply(batch)

        announced: dict[UUID, list[tuple[str, int]]] = {}
        for row in await database.take_outbox():
            number = int(row["payload"].split('"completion_number": ')[1].split(",")[0])
            user_id = UUID(row["aggregateid"])
            announced.setdefault(user_id, []).append((row["type"], number))
            assert row["id"] == course_event_id(row["type"], user_id, COURSE, number, row["occurred_at"])
        for row in await database.connection.fetch("select * from course_progress_all"):
            was_complete, number = state.get(row["user_id"], (False, 0))
            for type_name, announced_number in announced.pop(row["user_id"], []):
                was_complete = type_name == "CourseCompleted"
                number += was_complete
                assert announced_number == number
            assert (was_complete, number) == (row["completed_at"] is not None, row["completion_number"])
            state[row["user_id"]] = (was_complete, number)
        assert announced == {}


async def course(database: Database) -> asyncpg.Record | None:
    return await database.connection.fetchrow("select * from course_progress")


@pytest.mark.parametrize(
    "batches",
    [
        [[completed("a", 1)], [completed("b", 5)]],
        [[completed("b", 5)], [completed("a", 1)]],
        [[completed("b", 5), completed("a", 1)]],
        [[completed("b", 5), completed("a", 1), completed("c", 9)]],  # a lesson too many makes no difference
    ],
    ids=["in order", "out of order", "in one batch", "more lessons than the total"],
)
async def test_a_course_is_dated_by_the_lesson_that_completed_it(database: Database, batches: Any) -> None:
    await database.empty()

    for batch in batches:
        await database.apply(batch)

    row = await course(database)
    assert row is not None
    assert row["completed_at"] == at(5)


async def test_the_completion_date_stays_while_the_course_stays_complete(database: Database) -> None:
    await database.empty()
    await database.apply([completed("a", 1), completed("b", 5)])

    await database.apply([completed("a", 7), completed("b", 8), completed("c", 3)])

    row = await course(database)
    assert row is not None
    assert (row["completed_at"], row["completion_number"]) == (at(5), 1)


@pytest.mark.parametrize("one_batch", [True, False])
async def test_a_lesson_completed_again_after_an_un_completion_has_the_new_date(
    database: Database, one_batch: bool
) -> None:
    await database.empty()
    history = [completed("a", 1), uncompleted("a", 2), completed("a", 3)]

    for batch in [history] if one_batch else [[event] for event in history]:
        await database.apply(batch)

    row = await database.connection.fetchrow("select * from lesson_progress")
    assert row is not None
    assert row["completed_at"] == at(3)


async def test_a_course_completed_again_after_a_reset_is_a_new_completion(database: Database) -> None:
    await database.empty()
    await database.apply([completed("a", 1), completed("b", 2)])

    await database.apply([reset(3), completed("a", 4), completed("b", 5)])

    row = await course(database)
    assert row is not None
    assert (row["completion_number"], row["completed_at"], row["started_at"]) == (2, at(5), at(4))
    types = [row["type"] for row in await database.take_outbox()]
    assert types == ["CourseCompleted", "CourseCompletionRevoked", "CourseCompleted"]


async def test_a_late_reset_dates_the_course_by_the_lesson_that_makes_up_the_total(database: Database) -> None:
    await database.empty()
    for event in [completed("a", 1), completed("b", 2), completed("a", 10), completed("b", 11), completed("c", 12)]:
        await database.apply([event])

    await database.apply([reset(5)])

    row = await course(database)
    assert row is not None
    assert (row["completed_at"], row["completion_number"]) == (at(11), 1)


async def test_an_access_tells_that_a_course_became_smaller(database: Database) -> None:
    await database.empty()
    await database.apply([completed("a", 1, 3), completed("b", 2, 3)])

    await database.apply([(CourseAccessed(user_id=USER, course_id=COURSE, total_lessons=2), at(9))])

    row = await course(database)
    assert row is not None
    assert (row["total_lessons"], row["completed_at"], row["last_accessed_at"]) == (2, at(2), at(9))


async def test_without_a_total_a_course_is_not_complete(database: Database) -> None:
    await database.empty()
    event = LessonCompleted(user_id=USER, course_id=COURSE, lesson_id="a")

    await database.apply([(event, at(1))])

    row = await course(database)
    assert row is not None
    assert (row["lessons_completed"], row["total_lessons"], row["progress_percentage"]) == (1, None, 0)


async def test_of_many_completions_the_row_keeps_the_first_and_the_last(database: Database) -> None:
    await database.empty()
    for hours in (range(150), range(150, 300)):
        await database.apply([completed("a", hour) for hour in hours])

    row = await database.connection.fetchrow("select * from lesson_progress")
    assert row is not None
    assert row["completions"] == [at(hour) for hour in (*range(50), *range(250, 300))]


async def test_a_course_begins_no_later_than_it_is_completed(database: Database) -> None:
    await database.empty()
    await database.apply([reset(5)])

    # Of a batch with events on both sides of the reset, the earliest that certainly counts is the last access.
    await database.apply(
        [
            (CourseAccessed(user_id=USER, course_id=COURSE), at(3)),
            completed("a", 10),
            completed("b", 10),
            (CourseAccessed(user_id=USER, course_id=COURSE), at(20)),
        ]
    )

    row = await course(database)
    assert row is not None
    assert (row["started_at"], row["completed_at"]) == (at(10), at(10))


async def test_an_un_completion_does_not_name_the_lesson_to_resume_at(database: Database) -> None:
    await database.empty()
    await database.apply([completed("a", 1), completed("b", 2), uncompleted("a", 3)])

    row = await course(database)
    assert row is not None
    assert (row["last_lesson_id"], row["last_accessed_at"]) == ("b", at(3))


async def test_a_reset_row_is_gone_for_every_reader_and_late_events_do_not_bring_it_back(database: Database) -> None:
    await database.empty()
    await database.apply([completed("a", 1), reset(6)])

    await database.apply([completed("b", 5)])

    assert await course(database) is None


@pytest.mark.parametrize(
    ("done", "total", "percentage"),
    [
        (1, 3, 33),
        (2, 3, 67),
        (1, 7, 14),
        (1, 200, 1),
        (199, 200, 99),
        (200, 200, 100),
        (1, 8, 13),
        (1, 1, 100),
        (2, 1, 100),
        (9999, 10000, 99),
    ],
)
async def test_percentages_are_rounded_to_the_nearest_and_100_only_when_complete(
    database: Database, done: int, total: int, percentage: int
) -> None:
    await database.empty()

    await database.apply([completed(f"{number}", 1, total) for number in range(done)])

    row = await course(database)
    assert row is not None
    assert row["progress_percentage"] == percentage
