"""Versions of a course decide, in whatever order they, the events and a recount come: rules 8 to 11 on real SQL."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from hypothesis import assume, given
from hypothesis import strategies as st

from events.catalog import AtLeast, CatalogLesson, CoursePublished
from events.models import (
    CourseAccessed,
    LessonCompleted,
    LessonWaived,
    LessonWaiverWithdrawn,
)
from tests.catalogs import Published, expect_standings
from tests.databases import Database
from tests.deliveries import ALL_KINDS, Delivery, deliveries, real_sql
from tests.factories import COURSE, OTHER_USER, USER, at, completed, reset, uncompleted
from tests.processes import eventually
from worker.courses.catalog_sink import CatalogSink
from worker.courses.recount import Recount
from worker.errors import ValueRefused
from worker.postgres import connection
from worker.progress.store import Store
from worker.progress.version_reference import Standing
from worker.repair.recount import Scope, Verify, connect_to_recount
from worker.settings import Settings
from worker.stream.batch import Batch
from worker.stream.outcome import Occurrence, Record
from worker.stream.sink import Applied, Span

NAMES = ["ä", "b", "c", "d"]
CATALOG = TopicPartition("course-catalog", 0)
RECOUNT = "recount"


class Courses(Database):
    """Publishes versions and recounts rows as a worker does, beside the batches of lesson events."""

    def __init__(self, settings: Settings, connection: asyncpg.Connection) -> None:
        super().__init__(Store(settings), connection)
        self.sink = CatalogSink(settings, "catalog")
        self.recount = Recount(settings, lambda: None)
        self.recount._partitions = [0]

    async def empty(self) -> None:
        await super().empty()
        tables = "course_version, course_lesson, course_replacement, course_recount, lesson_waiver"
        await self.connection.execute(f"truncate {tables}")
        self.published = 0

    async def publish(self, version: CoursePublished, published_at: datetime) -> None:
        record = Record(*CATALOG, self.published, -1, 0, None, b"", None, 0, 0, ())
        batch = Batch(
            [(record, Occurrence(published_at, version, *CATALOG))],
            {CATALOG: Span(self.published or None, self.published + 1)},
        )
        assert isinstance(await self.sink.apply_batch(batch), Applied)
        self.published += 1

    async def recount_all(self) -> None:
        while await self.recount.recount_chunk():
            pass

    async def find_wrong_news(self) -> list[asyncpg.Record]:
        """Returns the learners whose last course event says otherwise than their row."""
        return await self.connection.fetch(
            """
            select * from course_progress_all p
            left join lateral (select type, payload from outbox where aggregateid = p.user_id::text
                               and type <> 'ProgressMilestoneReached' order by seq desc limit 1) o on true
            where (o.type is not distinct from 'CourseCompleted') <> (p.completed_at is not null)
               or (o.payload ->> 'completion_number')::integer is distinct from nullif(p.completion_number, 0)
            """
        )

    async def find_missing_milestones(self) -> list[asyncpg.Record]:
        """Returns the milestones that rows have reached, and that were not announced exactly once in their run."""
        return await self.connection.fetch(
            """
            select p.user_id, m, a.milestone, told.times
            from course_progress p
            join course_progress_all a using (id)
            cross join generate_series(25, 75, 25) m
            cross join lateral (
                select count(*) as times from outbox
                where type = 'ProgressMilestoneReached' and aggregateid = p.user_id::text
                  and (payload ->> 'milestone')::integer = m
                  and (payload ->> 'run')::timestamptz is not distinct from a.reset_at) told
            where told.times > 1 or (p.progress_percentage >= m and told.times = 0)
               or (m <= a.milestone) <> (told.times > 0)
            """
        )

    async def find_wrong_rows(self) -> list[Any]:
        """Returns what `verify` finds."""
        connection = await connect_to_recount(self.store._settings)
        try:
            return [found async for found in Verify(connection, Scope(), lambda _: None).differences()]
        finally:
            await connection.close()

    async def standings(self) -> dict[Any, Standing]:
        rows = await self.connection.fetch(
            "select user_id, course_version, lessons_completed, total_lessons, completed_at from course_progress"
        )
        return {row["user_id"]: Standing(*list(row.values())[1:]) for row in rows}


@pytest.fixture
async def courses(database_settings: Settings, connection: asyncpg.Connection) -> AsyncIterator[Courses]:
    courses = Courses(database_settings, connection)
    yield courses
    await courses.store.close()
    await courses.sink.close()
    await courses.recount.on_stop()


@st.composite
def versions(draw: st.DrawFn) -> list[Published]:
    """Draws up to four versions of one course. Few lessons and instants exist, so that they meet."""
    numbers = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4, unique=True))
    return [(draw(version(number)), at(draw(st.integers(0, 8)))) for number in numbers]


@st.composite
def version(draw: st.DrawFn, number: int) -> CoursePublished:
    ids = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    lessons = [
        CatalogLesson(
            lesson_id=id,
            required=draw(st.sampled_from([True, True, True, False])),
            replaces=tuple(draw(st.sampled_from([[], [], [], [name for name in NAMES if name != id][:1]]))),
        )
        for id in ids
    ]
    required = sum(lesson.required for lesson in lessons)
    assume(required)
    rule = draw(st.sampled_from(["all", "all", AtLeast(at_least=draw(st.integers(1, required)))]))
    policy = draw(st.sampled_from(["grandfather", "reopen"]))
    return CoursePublished(course_id=COURSE, version=number, policy=policy, rule=rule, lessons=tuple(lessons))


EVERY_KIND = (*ALL_KINDS, LessonWaived, LessonWaiverWithdrawn)


@pytest.mark.timeout(600)
@real_sql
@given(delivery=deliveries(*EVERY_KIND), published=versions(), data=st.data())
async def test_any_order_of_events_versions_and_recounts_ends_as_the_rules_say(
    courses: Courses, delivery: Delivery, published: list[Published], data: st.DataObject
) -> None:
    await courses.empty()
    steps = data.draw(st.permutations([*delivery.batches, *published, RECOUNT, RECOUNT]))

    for step in steps:
        match step:
            case list():
                await courses.apply(step)
            case (CoursePublished() as version, when):
                await courses.publish(version, when)
            case _:
                await courses.recount_all()
    await courses.recount_all()

    wanted = expect_standings(delivery.happened, published)
    assert await courses.standings() == {user: standing for (user, _), standing in wanted.items()}
    assert await courses.find_wrong_news() == []
    assert await courses.find_wrong_rows() == []
    assert await courses.find_missing_milestones() == []


def published(number: int, *required: str, hour: int = 0, **changed: Any) -> Published:
    lessons = tuple(CatalogLesson(lesson_id=id) for id in required)
    return CoursePublished(course_id=COURSE, version=number, lessons=lessons, **changed), at(hour)


async def complete_others(courses: Courses, lesson: str, hour: int) -> None:
    await courses.apply(
        [(LessonCompleted(user_id=OTHER_USER, course_id=COURSE, lesson_id=lesson, total_lessons=9), at(hour))]
    )


async def learn_and_publish(courses: Courses) -> None:
    """Has a worker know version 1 of the course, and another store version 2 and recount the course."""
    await courses.empty()
    await courses.publish(*published(1, "a", "b"))
    await courses.apply([completed("a", 1)])
    await courses.publish(*published(2, "b", "c", hour=2))
    await courses.recount_all()


async def test_nobody_is_counted_by_a_version_that_is_not_the_newest_any_more(courses: Courses) -> None:
    await learn_and_publish(courses)

    await complete_others(courses, "a", 3)

    assert (await courses.standings())[OTHER_USER] == Standing(2, 0, 2, None)


async def test_without_the_epoch_somebody_would_be(courses: Courses, monkeypatch: pytest.MonkeyPatch) -> None:
    await learn_and_publish(courses)
    original = connection.query
    compared, sabotaged = "(select epoch from known) = $26", "((select epoch from known) = $26 or true)"
    monkeypatch.setattr(connection, "query", lambda name: original(name).replace(compared, sabotaged))

    await complete_others(courses, "a", 3)

    assert (await courses.standings())[OTHER_USER] == Standing(1, 1, 2, None)


async def test_a_version_waits_for_the_batches_under_way(courses: Courses) -> None:
    await courses.empty()
    await courses.publish(*published(1, "a"))
    await courses.apply([completed("b", 1)])
    holder = await asyncpg.connect(courses.store._settings.database_url.get_secret_value())
    holding = holder.transaction()
    await holding.start()
    await holder.execute("lock table course_progress_all in share mode")

    batch = asyncio.create_task(complete_others(courses, "a", 2))
    await eventually(lambda: waits(courses, 1))
    version = asyncio.create_task(courses.publish(*published(2, "a", "c", hour=3)))
    await eventually(lambda: waits(courses, 2))
    await holding.rollback()
    await asyncio.gather(batch, version)
    await holder.close()
    await courses.recount_all()

    assert (await courses.standings())[OTHER_USER] == Standing(1, 1, 1, at(2))


async def waits(courses: Courses, number: int) -> bool:
    found = await courses.connection.fetchval(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    )
    return bool(found == number)


@pytest.mark.parametrize(
    ("policy", "complete"), [("grandfather", Standing(1, 1, 1, at(1))), ("reopen", Standing(2, 1, 2, None))]
)
async def test_who_was_complete_stays_so_unless_the_owner_reopens(
    courses: Courses, policy: str, complete: Standing
) -> None:
    await courses.empty()
    await courses.publish(*published(1, "a"))
    await courses.apply([completed("a", 1)])
    await courses.publish(*published(2, "a", "b", hour=2, policy=policy))

    await courses.recount_all()

    assert (await courses.standings())[USER] == complete
    news = [
        (row["type"], row["occurred_at"], json.loads(row["payload"])["cause"]) for row in await courses.take_outbox()
    ]
    assert news[0] == ("CourseCompleted", at(1), "learner")
    assert news[1:] == [("CourseCompletionRevoked", at(2), "course-changed")] * (policy == "reopen")


async def test_who_lacked_only_a_removed_lesson_is_complete_since_its_removal(courses: Courses) -> None:
    await courses.empty()
    await courses.publish(*published(1, "a", "b"))
    await courses.apply([completed("a", 1)])
    await courses.publish(*published(2, "a", hour=5))

    await courses.recount_all()

    assert (await courses.standings())[USER] == Standing(2, 1, 1, at(5))
    [news] = await courses.take_outbox()
    assert (news["occurred_at"], json.loads(news["payload"])["cause"]) == (at(5), "course-changed")


async def test_a_made_up_lesson_completes_nothing(courses: Courses) -> None:
    await courses.empty()
    await courses.publish(*published(1, "a", "b"))

    await courses.apply([completed("invented", 1, total=1), completed("a", 2, total=1)])

    assert (await courses.standings())[USER] == Standing(1, 1, 2, None)
    assert await courses.take_outbox() == []


async def test_what_is_taken_back_and_reset_counts_no_more(courses: Courses) -> None:
    await courses.empty()
    await courses.publish(*published(1, "a", "b"))
    await courses.apply([completed("a", 1), completed("b", 2)])
    await courses.apply([uncompleted("b", 3)])
    assert (await courses.standings())[USER] == Standing(1, 1, 2, None)
    await courses.apply([completed("b", 4), reset(5), completed("a", 6)])

    assert (await courses.standings())[USER] == Standing(1, 1, 2, None)
    assert [row["type"] for row in await courses.take_outbox()][-1] == "CourseCompletionRevoked"
    assert await courses.find_wrong_rows() == []


async def test_another_content_under_a_known_version_is_refused_and_the_same_changes_nothing(courses: Courses) -> None:
    await courses.empty()
    await courses.publish(*published(1, "a"))
    await courses.publish(*published(1, "a", hour=7))

    with pytest.raises(ValueRefused, match="version 1 of this course is known with another content"):
        await courses.publish(*published(1, "b"))


def waived(lesson: str, hour: int, reason: str = "known") -> Any:
    return LessonWaived(user_id=USER, course_id=COURSE, lesson_id=lesson, reason=reason), at(hour)


def withdrawn(lesson: str, hour: int) -> Any:
    return LessonWaiverWithdrawn(user_id=USER, course_id=COURSE, lesson_id=lesson), at(hour)


async def test_a_waiver_completes_and_its_withdrawal_revokes(courses: Courses) -> None:
    await courses.empty()
    await courses.publish(*published(1, "a", "b", title="Statistics"))
    await courses.apply([completed("a", 1)])

    await courses.apply([waived("b", 2)])
    assert (await courses.standings())[USER] == Standing(1, 2, 2, at(2))
    await courses.apply([withdrawn("b", 3)])
    assert (await courses.standings())[USER] == Standing(1, 1, 2, None)

    news = [(row["type"], json.loads(row["payload"])) for row in await courses.take_outbox()]
    assert [type for type, _ in news] == ["CourseCompleted", "CourseCompletionRevoked"]
    for _, data in news:
        assert (data["cause"], data["course_version"], data["title"]) == ("waived", 1, "Statistics")


async def test_a_waived_lesson_that_is_completed_counts_once(courses: Courses) -> None:
    await courses.empty()
    await courses.publish(*published(1, "a", "b"))
    await courses.apply([waived("a", 1, "first"), waived("a", 2, "second")])

    await courses.apply([completed("a", 3)])

    assert (await courses.standings())[USER] == Standing(1, 1, 2, None)
    row = await courses.connection.fetchrow("select lessons_waived, reason from course_progress join lesson_waiver "
                                            "using (user_id, course_id)")  # fmt: skip
    assert tuple(row) == (1, "second")
    await courses.apply([withdrawn("a", 4)])
    assert (await courses.standings())[USER] == Standing(1, 1, 2, None)


async def test_a_mis_click_costs_nobody_the_version_they_completed(courses: Courses) -> None:
    await courses.empty()
    await courses.publish(*published(1, "a"))
    await courses.apply([completed("a", 1)])
    await courses.publish(*published(2, "a", "b", hour=5))

    await courses.apply([uncompleted("a", 6)])
    await courses.apply([completed("a", 7)])

    assert (await courses.standings())[USER] == Standing(1, 1, 1, at(1))


async def test_each_transition_is_kept_with_its_cause(courses: Courses) -> None:
    await courses.empty()
    await courses.connection.execute("truncate transition")
    await courses.apply([completed("a", 1, total=1)])
    await courses.apply([reset(2)])
    await courses.publish(*published(1, "b", hour=3))
    await courses.apply([completed("b", 4)])
    await courses.publish(*published(2, "c", hour=5, policy="reopen"))
    await courses.recount_all()

    kept = await courses.connection.fetch("select * from transition order by recorded_at")
    assert [(row["type"], row["occurred_at"], row["completion_number"], row["course_version"], row["cause"])
            for row in kept] == [
        ("CourseCompleted", at(1), 1, 0, "learner"),
        ("CourseCompletionRevoked", at(2), 1, 0, "reset"),
        ("CourseCompleted", at(4), 2, 1, "learner"),
        ("CourseCompletionRevoked", at(5), 2, 2, "course-changed"),
    ]  # fmt: skip
    assert {row["event_id"] for row in kept} == {row["id"] for row in await courses.take_outbox()}


async def test_a_late_reset_of_what_does_not_count_any_more_changes_nothing(courses: Courses) -> None:
    await courses.empty()
    await courses.publish(*published(1, "a", "b"))
    await courses.apply([completed("a", 10), completed("b", 11)])
    await courses.take_outbox()

    await courses.apply([reset(9)])

    assert (await courses.standings())[USER] == Standing(1, 2, 2, at(11))
    assert await courses.take_outbox() == []


async def test_a_course_that_is_reset_and_completed_again_in_one_batch_is_a_new_completion(courses: Courses) -> None:
    await courses.empty()
    await courses.apply([completed("a", 1), completed("b", 2)])  # with a total, before there was a version
    await courses.publish(*published(1, "a", "b"))
    await courses.recount_all()
    await courses.take_outbox()

    opened = CourseAccessed(user_id=USER, course_id=COURSE, total_lessons=2)
    again = [completed("x", 4), completed("y", 5), (opened, at(6)), completed("a", 7), completed("b", 8)]
    await courses.apply([reset(3), *again])

    news = [(row["type"], row["occurred_at"], json.loads(row["payload"])) for row in await courses.take_outbox()]
    assert [(type, when, data["completion_number"], data["cause"]) for type, when, data in news] == [
        ("CourseCompletionRevoked", at(3), 1, "reset"),
        ("CourseCompleted", at(8), 2, "learner"),
    ]
    assert await courses.find_wrong_rows() == []


async def test_verify_finds_a_row_that_an_old_worker_wrote_behind_the_recount(courses: Courses) -> None:
    await courses.empty()
    await courses.publish(*published(1, "a", "b"))
    await courses.recount_all()
    await courses.apply([completed("a", 1, total=1)])
    await courses.connection.execute(
        "update course_progress_all set judged_by = 0, course_version = 0, total_lessons = 1, completed_at = now()"
    )

    [found] = await courses.find_wrong_rows()

    assert (found.recounted["judged_by"], found.recounted["total_lessons"], found.announce) == (1, 2, None)


async def test_what_a_worker_of_the_release_before_wrote_is_not_forgotten(courses: Courses) -> None:
    await courses.empty()
    await courses.apply([completed("a", 1), uncompleted("a", 2)])
    # It knows no `completions`, and leaves them as they are.
    await courses.connection.execute(
        "update lesson_progress set completed = true, changed_at = $1, completed_at = $1", at(3)
    )

    await courses.apply([uncompleted("a", 2)])

    row = await courses.connection.fetchrow("select completed, completed_at, completions from lesson_progress")
    assert tuple(row) == (True, at(3), [at(1), at(3)])
