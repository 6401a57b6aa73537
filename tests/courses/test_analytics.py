"""A course's figures, from real rows; and nothing of fewer than five learners."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.databases import NOON, invent, learners
from worker.courses.analytics import (
    BUCKETS_S,
    DAY,
    DAYS,
    FRESH_S,
    HOUR,
    MOST_LESSONS,
    READ_LESSONS,
    CourseAnalytics,
    Duration,
    LessonReach,
    build_durations,
)
from worker.courses.anonymity import K
from worker.errors import DatabaseUnavailable, TookTooLong
from worker.postgres.connection import query
from worker.settings import Settings


@pytest.fixture
def course() -> UUID:
    return uuid4()


@pytest.fixture
async def analytics(database_settings: Settings) -> AsyncIterator[CourseAnalytics]:
    async with CourseAnalytics(database_settings) as analytics:
        yield analytics


@pytest.mark.parametrize("number", [0, 4])
async def test_a_course_of_fewer_than_five_learners_has_no_figures(
    analytics: CourseAnalytics, connection: asyncpg.Connection, course: UUID, number: int
) -> None:
    await learners(connection, course, number, "abc")

    assert await analytics.read(course) is None


async def test_figures_are_those_of_the_course_in_fives(
    analytics: CourseAnalytics, connection: asyncpg.Connection, course: UUID
) -> None:
    await learners(connection, course, 31, "abc")
    await learners(connection, course, 12, "ab")
    await learners(connection, course, 24)
    await learners(connection, uuid4(), 9, "abc")

    figures = await analytics.read(course)

    assert figures is not None
    assert (figures.learners, figures.completed, figures.completion_rate) == (65, 30, 46)
    assert figures.lessons == (LessonReach("a", 40), LessonReach("b", 40), LessonReach("c", 30))
    assert figures.time_to_complete == (Duration(0, HOUR, 30),)


async def test_a_learner_who_started_over_and_did_nothing_since_is_none(
    analytics: CourseAnalytics, connection: asyncpg.Connection, course: UUID
) -> None:
    await learners(connection, course, 4, "abc")
    await connection.execute(
        "insert into course_progress_all (user_id, course_id, reset_at) values (gen_random_uuid(), $1, now())", course
    )

    assert await analytics.read(course) is None


async def test_lessons_stand_in_the_order_in_which_most_did_them(
    analytics: CourseAnalytics, connection: asyncpg.Connection, course: UUID
) -> None:
    await learners(connection, course, 20, ["welcome", "basics", "advanced", "exam"])
    await learners(connection, course, 9, ["advanced", "exam", "basics", "welcome"])

    figures = await analytics.read(course)

    assert figures is not None
    assert [lesson.lesson_id for lesson in figures.lessons] == ["welcome", "basics", "advanced", "exam"]


async def test_the_order_of_lessons_tells_no_more_of_their_counts_than_is_shown(
    connection: asyncpg.Connection, analytics: CourseAnalytics, course: UUID
) -> None:
    await learners(connection, course, 6, ["a"])
    await learners(connection, course, 7, ["b"])
    await learners(connection, course, 10, ["c"])

    found = await analytics.read(course)

    assert found is not None
    assert [(lesson.lesson_id, lesson.learners) for lesson in found.lessons] == [("c", 10), ("a", 5), ("b", 5)]


async def test_a_lesson_that_fewer_than_five_did_is_not_named(
    analytics: CourseAnalytics, connection: asyncpg.Connection, course: UUID
) -> None:
    await learners(connection, course, 20, "a")
    await learners(connection, course, 4, ["a", "anna's own"])

    figures = await analytics.read(course)

    assert figures is not None
    assert figures.lessons == (LessonReach("a", 20),)


async def test_a_lesson_that_was_uncompleted_does_not_count(
    analytics: CourseAnalytics, connection: asyncpg.Connection, course: UUID
) -> None:
    await learners(connection, course, 10, "ab")
    await connection.execute("update lesson_progress set completed = false, completed_at = null where lesson_id = 'b'")

    figures = await analytics.read(course)

    assert figures is not None
    assert figures.lessons == (LessonReach("a", 10),)


async def test_a_learner_is_active_once_on_each_day_of_a_completion_and_of_the_last_access(
    analytics: CourseAnalytics, connection: asyncpg.Connection, course: UUID
) -> None:
    await learners(connection, course, 7, "abc", pause=timedelta(hours=9))  # the third lesson on the next day
    await learners(connection, course, 6)
    await learners(connection, course, 4, at=NOON + timedelta(days=2))

    figures = await analytics.read(course)

    assert figures is not None
    shown = {day.day: day.learners for day in figures.active}
    first = NOON.date()
    assert len(figures.active) == DAYS
    assert [shown[first + timedelta(days=n)] for n in range(-1, 4)] == [0, 10, 5, 0, 0]
    assert sum(shown.values()) == 15


async def test_times_to_complete_are_merged_until_each_stands_for_five(
    analytics: CourseAnalytics, connection: asyncpg.Connection, course: UUID
) -> None:
    await learners(connection, course, 12, "abc", pause=timedelta(minutes=1))
    await learners(connection, course, 3, "abc", pause=timedelta(hours=3))
    await learners(connection, course, 4, "abc", pause=timedelta(days=1))

    figures = await analytics.read(course)

    assert figures is not None
    assert figures.time_to_complete == (Duration(0, HOUR, 10), Duration(HOUR, 3 * DAY, 5))


def test_the_last_bucket_has_no_end_when_somebody_took_that_long() -> None:
    counts = [0] * len(BUCKETS_S) + [9]

    assert build_durations(counts) == (Duration(0, None, 5),)


async def test_an_answer_is_kept_for_a_moment(
    database_settings: Settings, connection: asyncpg.Connection, course: UUID
) -> None:
    now = 1000.0
    async with CourseAnalytics(database_settings, clock=lambda: now) as analytics:
        assert await analytics.read(course) is None
        await learners(connection, course, 5)
        assert await analytics.read(course) is None

        now += FRESH_S
        figures = await analytics.read(course)

    assert figures is not None
    assert figures.learners == 5


async def test_an_answer_that_is_kept_does_not_wait_behind_another_course(
    database_settings: Settings, course: UUID
) -> None:
    async with CourseAnalytics(database_settings) as analytics:
        await analytics.read(course)

        async with analytics._querying, asyncio.timeout(30):
            assert await analytics.read(course) is None


async def test_nobody_waits_for_ever_behind_other_courses(
    database_settings: Settings, course: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.courses.analytics.LONGEST_S", 0.05)
    async with CourseAnalytics(database_settings) as analytics, analytics._querying, asyncio.timeout(30):
        with pytest.raises(DatabaseUnavailable):
            await analytics.read(course)

    assert not analytics._querying.locked()


async def test_a_course_that_takes_too_long_is_not_asked_for_again_at_once(
    database_settings: Settings, course: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    asked = []

    async def too_long(course_id: UUID) -> None:
        asked.append(course_id)
        raise TookTooLong("statement timeout")

    async with CourseAnalytics(database_settings, clock=lambda: now[0]) as analytics:
        monkeypatch.setattr(analytics, "_query_figures", too_long)
        for now[0] in (0, FRESH_S - 1, FRESH_S + 1):
            with pytest.raises(TookTooLong):
                await analytics.read(course)

    assert len(asked) == 2


async def test_what_it_reads_does_not_grow_with_other_courses(
    database_settings: Settings, connection: asyncpg.Connection, course: UUID
) -> None:
    """Index lookups into the big tables, whatever the planner thinks of them."""
    await learners(connection, course, 6, "abc")
    await connection.execute(
        """
        insert into lesson_progress (user_id, course_id, lesson_id, changed_at, completed_at, completed)
        select gen_random_uuid(), gen_random_uuid(), 'a', now(), now(), true from generate_series(1, 20000);
        insert into course_progress_all (user_id, course_id, last_accessed_at, started_at)
        select gen_random_uuid(), gen_random_uuid(), now(), now() from generate_series(1, 20000);
        analyze
        """
    )
    days = [NOON.date(), NOON.date()]

    arguments = (course, *days, BUCKETS_S, K, READ_LESSONS, MOST_LESSONS)
    rows = await connection.fetch(f"explain {query('courses/course_analytics')}", *arguments)
    text = "\n".join(row[0] for row in rows)

    assert "Seq Scan" not in text
    assert "lesson_progress_pkey" in text
    assert "course_progress_all_course_id" in text


async def test_learners_who_invent_lessons_neither_decide_the_cost_nor_hide_the_lessons_of_most(
    analytics: CourseAnalytics, connection: asyncpg.Connection, course: UUID
) -> None:
    await learners(connection, course, 10, "abc")
    for _ in range(5):
        await invent(connection, uuid4(), course, READ_LESSONS + 500)

    figures = await analytics.read(course)

    assert figures is not None
    assert len(figures.lessons) == MOST_LESSONS
    assert figures.more_lessons == READ_LESSONS + 3 - MOST_LESSONS
    assert {"a", "b", "c"} <= {lesson.lesson_id for lesson in figures.lessons}
