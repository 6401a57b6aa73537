"""Learners see their streak, their badges and the next ones, and nobody else's."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import httpx
from fastapi import FastAPI

from tests.callers import Issuer, client_of
from worker.web.auth import Scope

HERE = "/api/achievements"
DAY = timedelta(days=1)


async def award(rows: asyncpg.Connection, user: UUID, badge: str, *, fresh: bool = True, ago: int = 0) -> None:
    await rows.execute(
        "insert into badge_award (user_id, badge, number, title, description, earned_on, awarded_at, cause, fresh)"
        " values ($1, $2, 1, 'A badge', 'd', $3, $4, 'learner', $5)",
        *(user, badge, date(2026, 11, 1), datetime.now(UTC) - ago * DAY, fresh),
    )


async def test_who_has_done_nothing_has_all_before_them(client: httpx.AsyncClient) -> None:
    answer = (await client.get(HERE)).json()

    assert (answer["streak"]["current"], answer["streak"]["longest"], answer["streak"]["activeToday"]) == (0, 0, False)
    assert answer["badges"] == []
    assert [(found["badge"], found["value"], found["target"], found["unit"]) for found in answer["next"]] == [
        ("first-course", 0, 1, "courses"),
        ("five-courses", 0, 5, "courses"),
        ("hundred-lessons", 0, 100, "lessons"),
        ("streak-7", 0, 7, "days"),
        ("streak-30", 0, 30, "days"),
    ]


async def test_the_days_of_the_last_weeks_are_there(
    client: httpx.AsyncClient, rows: asyncpg.Connection, user: UUID
) -> None:
    today = datetime.now(UTC).date()
    await rows.executemany(
        "insert into active_instant (user_id, at) values ($1, $2)",
        [(user, datetime.combine(today - n * DAY, datetime.min.time(), UTC)) for n in (0, 1, 3)],
    )

    streak = (await client.get(HERE, params={"weeks": 2})).json()["streak"]

    days = {date.fromisoformat(day["date"]): day["active"] for day in streak["days"]}
    assert (streak["current"], streak["longest"], streak["activeToday"]) == (2, 2, True)
    assert (min(days).weekday(), max(days), len(days)) == (0, today, 7 + today.weekday() + 1)
    assert {day for day, active in days.items() if active} == {
        today - n * DAY for n in (0, 1, 3) if today - n * DAY in days
    }


async def test_badges_say_whether_they_are_new(client: httpx.AsyncClient, rows: asyncpg.Connection, user: UUID) -> None:
    await award(rows, user, "streak-7")
    await award(rows, user, "streak-30", fresh=False, ago=1)
    await award(rows, user, "declared-no-more", ago=30)

    response = await client.get(HERE)

    answer = response.json()
    assert [(badge["badge"], badge["isNew"]) for badge in answer["badges"]] == [
        ("streak-7", True),
        ("streak-30", False),
        ("declared-no-more", False),
    ]
    assert [found["badge"] for found in answer["next"]] == ["first-course", "five-courses", "hundred-lessons"]
    assert (await client.get(HERE, headers={"If-None-Match": response.headers["ETag"]})).status_code == 304


async def test_another_learners_are_read_by_whoever_has_the_scope(
    app: FastAPI, issuer: Issuer, rows: asyncpg.Connection, user: UUID
) -> None:
    await award(rows, user, "streak-7")
    async with client_of(app, issuer.token(uuid4(), Scope.READ_ANY)) as client:
        assert len((await client.get(f"{HERE}?userId={user}")).json()["badges"]) == 1
    async with client_of(app, issuer.token(uuid4())) as client:
        assert (await client.get(f"{HERE}?userId={user}")).status_code == 403
        assert (await client.get(HERE)).json()["badges"] == []


async def test_where_they_are_off_there_are_none(app: FastAPI, client: httpx.AsyncClient) -> None:
    kept, app.state.readers.achievements = app.state.readers.achievements, None

    answer = await client.get(HERE)

    app.state.readers.achievements = kept
    assert (answer.status_code, answer.json()["detail"]) == (404, "this website has no streaks and badges")
