"""Rule 17: each milestone is announced once in a run, in any order, repetition and batch split."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given

from events.models import COURSE_EVENTS, LessonCompleted, LessonEvent, ProgressReset, milestone_event_id
from tests.databases import Database
from tests.deliveries import ALL_KINDS, Delivery, deliveries, real_sql
from tests.factories import COURSE, USER, at, completed, reset, uncompleted
from worker.progress.reference import expect_rows
from worker.progress.store import Store
from worker.settings import Settings

Happened = list[tuple[LessonEvent, datetime]]


class Told(NamedTuple):
    """Holds which milestone of a learner is told, and of which run."""

    user_id: UUID
    milestone: int
    run: datetime | None


@pytest.fixture
async def database(database_settings: Settings, connection: asyncpg.Connection) -> AsyncIterator[Database]:
    store = Store(database_settings)
    yield Database(store, connection)
    await store.close()


async def take(database: Database) -> list[Told]:
    """Takes the milestones that were announced, and requires of each what the contract says."""
    taken = []
    for row in await database.take_milestones():
        event = COURSE_EVENTS[row["type"]].model_validate_json(row["payload"])
        assert row["id"] == milestone_event_id(event.user_id, COURSE, event.milestone, event.run)
        assert (row["aggregateid"], row["occurred_at"]) == (str(event.user_id), event.reached_at)
        assert json.loads(row["payload"]).keys() == type(event).model_fields.keys()
        taken.append(Told(event.user_id, event.milestone, event.run))
    return taken


class Model:
    """Says naively what is to be told: after each batch, whatever the percentage is, up to 75, since the reset."""

    def __init__(self) -> None:
        self.happened: Happened = []
        self.told: set[Told] = set()

    def take(self, batch: Happened) -> set[Told]:
        """Returns what this batch adds. Its resets come first, as what they leave is a run of its own."""
        news: set[Told] = set()
        began = self.runs()
        resets = [(event, when) for event, when in batch if isinstance(event, ProgressReset)]
        if resets:
            self.happened = self.happened + resets
            news |= {told for told in self.reached() if told.run != began.get(told.user_id)}
        self.happened = self.happened + batch
        news |= self.reached()
        news -= self.told
        self.told |= news
        return news

    def runs(self) -> dict[UUID, datetime | None]:
        users = {event.user_id for event, _ in self.happened}
        return {
            user: max((t for e, t in self.happened if e.user_id == user and isinstance(e, ProgressReset)), default=None)
            for user in users
        }

    def reached(self) -> set[Told]:
        runs = self.runs()
        return {
            Told(user, milestone, runs[user])
            for (user, _), row in expect_rows(self.happened).items()
            for milestone in (25, 50, 75)
            if row.progress_percentage >= milestone
        }


@real_sql
@given(delivery=deliveries(*ALL_KINDS))
async def test_each_milestone_is_announced_once_in_a_run(database: Database, delivery: Delivery) -> None:
    await database.empty()
    model = Model()

    for batch in delivery.batches:
        await database.apply(batch)

        found = await take(database)
        for user in {told.user_id for told in found}:
            mine = [(told.run or at(-1), told.milestone) for told in found if told.user_id == user]
            assert mine == sorted(mine)
        assert len(found) == len(set(found))
        assert set(found) == model.take(batch)
    assert model.reached() <= model.told
    await database.apply(delivery.happened)
    assert await take(database) == []


@real_sql
@given(delivery=deliveries(LessonCompleted))
async def test_where_nothing_is_taken_back_the_order_decides_nothing(database: Database, delivery: Delivery) -> None:
    await database.empty()
    delivery = Delivery([constant(e) for e in delivery.happened], [[constant(e) for e in b] for b in delivery.batches])

    for batch in delivery.batches:
        await database.apply(batch)

    wanted = Model().take(delivery.happened)
    assert set(await take(database)) == wanted


def constant(happened: tuple[LessonEvent, datetime]) -> tuple[LessonEvent, datetime]:
    event, when = happened
    return event.model_copy(update={"total_lessons": 3}), when


async def tell(database: Database, *batch: tuple[LessonEvent, datetime]) -> list[tuple[int, datetime | None]]:
    await database.apply(list(batch))
    return [(told.milestone, told.run) for told in await take(database)]


async def test_a_jump_tells_every_milestone_and_a_fall_none(database: Database) -> None:
    await database.empty()

    assert await tell(database, completed("a", 1, 5)) == []
    assert await tell(database, *(completed(name, 2, 5) for name in "bcd")) == [(25, None), (50, None), (75, None)]
    assert await tell(database, uncompleted("b", 3, 5)) == []
    assert await tell(database, completed("b", 4, 5), completed("e", 4, 5)) == []


async def test_a_completion_follows_its_milestones(database: Database) -> None:
    await database.empty()

    await database.apply([completed("a", 1, 1)])

    rows = await database.connection.fetch("select type from outbox order by seq")
    assert [row["type"] for row in rows] == ["ProgressMilestoneReached"] * 3 + ["CourseCompleted"]


async def test_a_reset_begins_a_new_run(database: Database) -> None:
    await database.empty()

    assert await tell(database, completed("a", 1, 4)) == [(25, None)]
    assert await tell(database, reset(2)) == []
    assert await tell(database, completed("b", 3, 4)) == [(25, at(2))]
    assert await tell(database, completed("c", 5, 4)) == [(50, at(2))]
    assert await tell(database, reset(4)) == [(25, at(4))]  # of the lesson that stays


async def test_what_a_row_had_passed_before_there_were_milestones_is_not_announced(database: Database) -> None:
    await database.empty()
    await database.apply([completed("a", 1, 4), completed("b", 2, 4)])
    await database.take_outbox()
    await database.connection.execute("update course_progress_all set milestone = null")

    assert await tell(database, completed("b", 3, 4)) == []
    assert await tell(database, completed("c", 4, 4)) == [(75, None)]


async def test_the_migration_gives_rows_that_are_there_no_milestone(connection: asyncpg.Connection) -> None:
    has_one = await connection.fetchval(
        "select atthasmissing from pg_attribute"
        " where attrelid = 'course_progress_all'::regclass and attname = 'milestone'"
    )

    assert has_one is False


async def test_milestones_that_nobody_wants_are_kept_and_not_announced(
    database: Database, database_settings: Settings
) -> None:
    await database.empty()
    silent = Store(database_settings.model_copy(update={"milestones": False}))
    loud, database.store = database.store, silent

    assert await tell(database, completed("a", 1, 4), completed("b", 2, 4)) == []
    database.store = loud
    assert await tell(database, completed("c", 3, 4)) == [(75, None)]
    await silent.close()


async def test_a_milestone_is_reached_by_the_percentage_that_the_row_shows(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "select n, t, milestone_of(n, t) as found from generate_series(1, 40) t cross join generate_series(0, t + 2) n"
    )

    for n, t, found in rows:
        shown = 100 if n >= t else min(99, (200 * n + t) // (2 * t))
        assert found == max(m for m in (0, 25, 50, 75) if m <= shown), (n, t)
    assert await connection.fetchval("select milestone_of(3, null)") == 0


@pytest.mark.parametrize("run", [None, at(3)])
async def test_sql_and_python_give_a_milestone_the_same_id(
    connection: asyncpg.Connection, run: datetime | None
) -> None:
    rows = await connection.fetch(
        "select id from milestone_events($1, $2, 0::smallint, 75::smallint, $3, 3, 4, 0, 'learner', $4)",
        *(USER, COURSE, run, at(4)),
    )

    assert [row["id"] for row in rows] == [milestone_event_id(USER, COURSE, m, run) for m in (25, 50, 75)]
