"""What one learner did, day by day."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from tests.databases import NOON, lesson
from worker.learners.activity import Activity, Period, by_day, by_week, list_midnights
from worker.settings import Settings


@pytest.fixture
def user() -> UUID:
    return uuid4()


@pytest.fixture
async def history(database_settings: Settings) -> AsyncIterator[Activity]:
    async with Activity(database_settings) as history:
        yield history


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


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/St_Johns", "Asia/Kathmandu", "Etc/GMT+12", "UTC"])
async def test_each_lesson_counts_on_the_day_that_a_clock_there_showed(
    history: Activity, connection: asyncpg.Connection, user: UUID, zone: str
) -> None:
    times = [NOON + timedelta(hours=5 * n, minutes=7 * n) for n in range(20)]
    for number, at in enumerate(times):
        await lesson(connection, user, uuid4(), f"{number}", at)

    days = await history.count_per_day(user, 28, ZoneInfo(zone))

    there = [at.astimezone(ZoneInfo(zone)).date() for at in times]
    assert {day.start: day.lessons for day in days if day.lessons} == {day: there.count(day) for day in there}


async def test_a_sunday_evening_is_of_the_week_that_ends_there(
    history: Activity, connection: asyncpg.Connection, user: UUID
) -> None:
    there = ZoneInfo("America/Los_Angeles")
    today = datetime.now(there)
    sunday = (today - timedelta(days=today.weekday() + 8)).replace(hour=20)
    await lesson(connection, user, uuid4(), "late", sunday)

    found = [await history.count_per_week(user, 4, zone) for zone in (there, None)]

    weeks = [week.start for weeks in found for week in weeks if week.lessons]
    assert weeks == [sunday.date() - timedelta(days=6), sunday.date() + timedelta(days=1)]


@pytest.mark.parametrize(
    ("zone", "day", "begins", "hours"),
    [
        ("UTC", date(2026, 3, 29), "2026-03-29T00:00", 24),
        ("Europe/Paris", date(2026, 3, 29), "2026-03-28T23:00", 23),
        ("Europe/Paris", date(2026, 10, 25), "2026-10-24T22:00", 25),
        ("America/Los_Angeles", date(2026, 11, 1), "2026-11-01T07:00", 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), "2026-04-04T13:00", 24.5),
        ("America/Sao_Paulo", date(2018, 11, 4), "2018-11-04T03:00", 23),  # there was no midnight
        ("Africa/Cairo", date(2026, 4, 24), "2026-04-23T22:00", 23),  # nor here
        ("America/Havana", date(2026, 11, 1), "2026-11-01T04:00", 25),  # midnight comes twice
        ("Asia/Kathmandu", date(2026, 1, 1), "2025-12-31T18:15", 24),
    ],
)
def test_a_day_has_its_hours_where_clocks_change(zone: str, day: date, begins: str, hours: float) -> None:
    start, end = list_midnights(day, day, ZoneInfo(zone))

    assert start == datetime.fromisoformat(begins).replace(tzinfo=UTC)
    assert end - start == timedelta(hours=hours)


async def test_a_range_that_is_too_long_is_refused(history: Activity, user: UUID) -> None:
    for days in (0, 367):
        with pytest.raises(ValueError, match="between 1 and 366"):
            await history.count_per_day(user, days)


def test_weeks_begin_on_mondays_and_lose_no_lesson() -> None:
    monday = date(2026, 11, 16)
    days = by_day({monday: 1, date(2026, 11, 22): 2, date(2026, 11, 23): 4}, monday, date(2026, 11, 25))

    assert by_week(days) == (Period(monday, 3), Period(date(2026, 11, 23), 4))


async def test_of_a_learner_with_very_many_lessons_only_so_many_are_counted(
    history: Activity, connection: asyncpg.Connection, user: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.learners.activity.MOST_LESSONS", 3)
    for number in range(5):
        await lesson(connection, user, uuid4(), f"{number}")

    assert sum(period.lessons for period in await history.count_per_day(user, 28)) == 3
