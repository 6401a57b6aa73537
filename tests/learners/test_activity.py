"""What one learner did, day by day, and which lessons of a course are done."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from worker.courses.lessons import CourseLessons, KnownLessons, LessonState
from worker.learners.activity import Activity, Period, by_day, by_week
from worker.settings import Settings

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)


@pytest.fixture
def user() -> UUID:
    return uuid4()


@pytest.fixture
def course() -> UUID:
    return uuid4()


@pytest.fixture
async def history(database_settings: Settings) -> AsyncIterator[Activity]:
    async with Activity(database_settings) as history:
        yield history


@pytest.fixture
async def known(database_settings: Settings) -> AsyncIterator[KnownLessons]:
    async with KnownLessons(database_settings) as known:
        yield known


async def lesson(
    connection: asyncpg.Connection,
    user: UUID,
    course: UUID,
    lesson_id: str,
    at: datetime = NOON,
    *,
    completed: bool = True,
) -> None:
    await connection.execute(
        """
        insert into lesson_progress (user_id, course_id, lesson_id, changed_at, completed_at, completed)
        values ($1, $2, $3, $4, $5, $6)
        """,
        user,
        course,
        lesson_id,
        at,
        at if completed else None,
        completed,
    )


async def enrolled(connection: asyncpg.Connection, user: UUID, course: UUID, total: int | None = 4) -> None:
    await connection.execute(
        """
        insert into course_progress_all (user_id, course_id, last_accessed_at, started_at, total_lessons)
        values ($1, $2, now(), now(), $3)
        """,
        user,
        course,
        total,
    )


async def test_lessons_are_counted_on_the_day_of_their_completion(
    history: Activity, connection: asyncpg.Connection, user: UUID
) -> None:
    for number in range(3):
        await lesson(connection, user, uuid4(), f"{number}")
    await lesson(connection, user, uuid4(), "later", NOON + timedelta(days=1))
    await lesson(connection, user, uuid4(), "undone", completed=False)
    await lesson(connection, user, uuid4(), "long ago", NOON - timedelta(days=300))
    await lesson(connection, uuid4(), uuid4(), "another's")

    days = {period.start: period.lessons for period in await history.count_per_day(user, 28)}

    assert len(days) == 28
    assert {day: lessons for day, lessons in days.items() if lessons} == {
        NOON.date(): 3,
        NOON.date() + timedelta(days=1): 1,
    }


async def test_a_learner_without_lessons_has_idle_weeks(history: Activity, user: UUID) -> None:
    weeks = await history.count_per_week(user, 12)

    assert [week.lessons for week in weeks] == [0] * 12
    assert {week.start.weekday() for week in weeks} == {0}


async def test_days_are_those_of_the_learners_zone(
    history: Activity, connection: asyncpg.Connection, user: UUID
) -> None:
    await lesson(connection, user, uuid4(), "late", NOON.replace(hour=23))

    there = {p.start: p.lessons for p in await history.count_per_day(user, 28, ZoneInfo("Asia/Tokyo"))}
    here = {p.start: p.lessons for p in await history.count_per_day(user, 28)}

    assert (here[NOON.date()], there[NOON.date()]) == (1, 0)
    assert there[NOON.date() + timedelta(days=1)] == 1


async def test_a_range_that_is_too_long_is_refused(history: Activity, user: UUID) -> None:
    for days in (0, 367):
        with pytest.raises(ValueError, match="between 1 and 366"):
            await history.count_per_day(user, days)


def test_weeks_begin_on_mondays_and_lose_no_lesson() -> None:
    monday = date(2026, 11, 16)
    days = by_day({monday: 1, date(2026, 11, 22): 2, date(2026, 11, 23): 4}, monday, date(2026, 11, 25))

    assert by_week(days) == (Period(monday, 3), Period(date(2026, 11, 23), 4))


async def test_a_course_that_the_learner_has_not_begun_is_none(
    known: KnownLessons, connection: asyncpg.Connection, user: UUID, course: UUID
) -> None:
    for _ in range(9):
        other = uuid4()
        await enrolled(connection, other, course)
        await lesson(connection, other, course, "a")

    assert await known.read_lessons(user, [course]) == {}


async def test_a_course_that_was_only_opened_has_no_known_lesson(
    known: KnownLessons, connection: asyncpg.Connection, user: UUID, course: UUID
) -> None:
    await enrolled(connection, user, course, total=None)

    assert await known.read_lessons(user, [course]) == {course: CourseLessons(None, ())}


async def test_own_lessons_have_their_state(
    known: KnownLessons, connection: asyncpg.Connection, user: UUID, course: UUID
) -> None:
    await enrolled(connection, user, course)
    await lesson(connection, user, course, "b", NOON)
    await lesson(connection, user, course, "a", NOON + timedelta(hours=1), completed=False)

    lessons = CourseLessons(4, (LessonState("b", NOON), LessonState("a", None)))
    assert await known.read_lessons(user, [course]) == {course: lessons}


async def test_lessons_that_enough_others_did_are_known_in_their_order_and_a_few_others_own_are_not(
    known: KnownLessons, connection: asyncpg.Connection, user: UUID, course: UUID
) -> None:
    await enrolled(connection, user, course)
    await lesson(connection, user, course, "second", NOON)
    await lesson(connection, user, course, "mine", NOON)
    for number in range(5):
        other = uuid4()
        await enrolled(connection, other, course)
        await lesson(connection, other, course, "first", NOON)
        await lesson(connection, other, course, "second", NOON + timedelta(hours=1))
        await lesson(connection, other, course, "third", NOON + timedelta(hours=2))
        if number < 4:
            await lesson(connection, other, course, "made up", NOON)

    found = await known.read_lessons(user, [course])

    assert found[course].lessons == (
        LessonState("first", None),
        LessonState("second", NOON),
        LessonState("third", None),
        LessonState("mine", NOON),
    )
