"""The rules of docs/rules.md hold in the real SQL: any order, repetition and batch split end as the model says."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.models import (
    CourseAccessed,
    LessonCompleted,
    LessonEvent,
    LessonUncompleted,
    ProgressReset,
    course_event_id,
)
from worker.progress.fold import fold
from worker.progress.reference import expected, stored, wrong_rows
from worker.progress.store import Store
from worker.settings import Settings
from worker.stream.outcome import Occurrence
from worker.stream.sink import Applied, Span

START = datetime(2026, 1, 1, tzinfo=UTC)
USER, OTHER_USER, COURSE = uuid4(), uuid4(), uuid4()
LESSONS = ["ä", "b", "c"]


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def events(*kinds: type[LessonEvent]) -> st.SearchStrategy[tuple[LessonEvent, datetime]]:
    """An event of these kinds; few lessons, totals and instants, so that they meet."""
    ids = {"user_id": st.sampled_from([USER, OTHER_USER]), "course_id": st.just(COURSE)}
    lesson = {"lesson_id": st.sampled_from(LESSONS), "total_lessons": st.sampled_from([1, 2, 2, 2, 3])}
    fields: dict[type[LessonEvent], dict[str, Any]] = {
        LessonCompleted: lesson,
        LessonUncompleted: lesson,
        CourseAccessed: {"lesson_id": st.none() | st.sampled_from(LESSONS)},
        ProgressReset: {},
    }
    chosen = [st.builds(kind, **ids, **fields[kind]) for kind in kinds]
    return st.tuples(st.one_of(chosen), st.integers(0, 8).map(at))


ALL_KINDS = (LessonCompleted, LessonCompleted, LessonUncompleted, CourseAccessed, ProgressReset)


@dataclass(frozen=True)
class Delivery:
    """The same events, in the order, repetition and batches that a worker may see."""

    happened: list[tuple[LessonEvent, datetime]]
    batches: list[list[tuple[LessonEvent, datetime]]]


@st.composite
def deliveries(draw: st.DrawFn, *kinds: type[LessonEvent]) -> Delivery:
    happened = draw(st.lists(events(*kinds), min_size=1, max_size=12))
    repeated = draw(st.lists(st.sampled_from(happened), max_size=4))
    arriving = draw(st.permutations(happened + repeated))
    cuts = sorted(draw(st.sets(st.integers(1, len(arriving)), max_size=4)) | {0, len(arriving)})
    return Delivery(happened, [arriving[a:b] for a, b in itertools.pairwise(cuts)])


class Database:
    """Applies deliveries, each to rows of its own: the users of an example are new ones."""

    def __init__(self, store: Store, connection: asyncpg.Connection) -> None:
        self.store = store
        self.connection = connection

    async def empty(self) -> None:
        await self.connection.execute("truncate course_progress_all, lesson_progress, consumed_offset, outbox")
        self.partition = TopicPartition("lesson-events", 0)
        self.offset: int | None = None

    async def apply(self, batch: list[tuple[LessonEvent, datetime]]) -> None:
        occurrences = [Occurrence(when, event, *self.partition) for event, when in batch]
        span = Span(self.offset, (self.offset or 0) + len(batch))
        assert isinstance(await self.store.apply(fold(occurrences), {self.partition: span}), Applied)
        self.offset = span.next

    async def versions(self) -> list[asyncpg.Record]:
        """Every row with the transaction that wrote it."""
        return await self.connection.fetch(
            "select xmin::text, p::text from course_progress_all p"
            " union all select xmin::text, l::text from lesson_progress l order by 1, 2"
        )

    async def take_outbox(self) -> list[asyncpg.Record]:
        rows = await self.connection.fetch("delete from outbox returning *")
        return sorted(rows, key=lambda row: row["seq"])


@pytest.fixture
async def database(database_settings: Settings, connection: asyncpg.Connection) -> AsyncIterator[Database]:
    store = Store(database_settings)
    yield Database(store, connection)
    await store.close()


real_sql = hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@real_sql
@given(delivery=deliveries(*ALL_KINDS))
async def test_any_order_repetition_and_batch_split_ends_as_the_model_says(
    database: Database, delivery: Delivery
) -> None:
    await database.empty()

    for batch in delivery.batches:
        await database.apply(batch)

    assert wrong_rows(expected(delivery.happened), await stored(database.connection)) == []


@real_sql
@given(delivery=deliveries(*ALL_KINDS))
async def test_delivering_everything_again_announces_nothing(database: Database, delivery: Delivery) -> None:
    await database.empty()
    for batch in delivery.batches:
        await database.apply(batch)
    await database.take_outbox()

    await database.apply(delivery.happened)

    assert await database.take_outbox() == []
    assert wrong_rows(expected(delivery.happened), await stored(database.connection)) == []


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
@given(delivery=deliveries(LessonCompleted, LessonUncompleted))
async def test_a_lesson_is_dated_by_a_completion_since_its_last_un_completion(
    database: Database, delivery: Delivery
) -> None:
    await database.empty()

    for batch in delivery.batches:
        await database.apply(batch)

    for row in await database.connection.fetch("select * from lesson_progress where completed"):
        of_lesson = [
            (e, t) for e, t in delivery.happened if (e.user_id, e.lesson_id) == (row["user_id"], row["lesson_id"])
        ]
        undone = max((t for e, t in of_lesson if isinstance(e, LessonUncompleted)), default=at(-1))
        since = [t for e, t in of_lesson if isinstance(e, LessonCompleted) and t >= undone]
        assert row["completed_at"] in since
        if undone == at(-1):
            assert row["completed_at"] == min(since)  # reviewing a lesson changes no date


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
            assert row["id"] == course_event_id(row["type"], user_id, COURSE, number)
        for row in await database.connection.fetch("select * from course_progress_all"):
            was_complete, number = state.get(row["user_id"], (False, 0))
            for type_name, announced_number in announced.pop(row["user_id"], []):
                was_complete = type_name == "CourseCompleted"
                number += was_complete
                assert announced_number == number
            assert (was_complete, number) == (row["completed_at"] is not None, row["completion_number"])
            state[row["user_id"]] = (was_complete, number)
        assert announced == {}


def completed(lesson: str, hour: int, total: int = 2) -> tuple[LessonEvent, datetime]:
    return LessonCompleted(user_id=USER, course_id=COURSE, lesson_id=lesson, total_lessons=total), at(hour)


def uncompleted(lesson: str, hour: int, total: int = 2) -> tuple[LessonEvent, datetime]:
    return LessonUncompleted(user_id=USER, course_id=COURSE, lesson_id=lesson, total_lessons=total), at(hour)


def reset(hour: int) -> tuple[LessonEvent, datetime]:
    return ProgressReset(user_id=USER, course_id=COURSE), at(hour)


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
