"""A live stream shows a learner's courses as any process changes them, and ends when it has to."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from tests.callers import Issuer
from tests.databases import execute, new_database
from tests.processes import ApiProcess, eventually, running
from worker.learners.reads import CourseProgress
from worker.learners.service import ProgressService
from worker.web.api.progress_poller import (
    MOST_COURSES_SHOWN,
    MOST_LESSONS,
    POLL_AWARDS_EVERY_S,
    ProgressPoller,
    State,
    WatchedLearner,
    drop_long_list,
)
from worker.web.api.stream import format_changes, stream_events
from worker.web.settings import ApiSettings

WITHIN_S = 30


class Events:
    """Iterates over the events of a stream, in their order."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()
        self.last_id = ""

    async def next(self) -> tuple[str, Any]:
        """Returns name and data of the next event. Raises StopAsyncIteration at the end."""
        async with asyncio.timeout(WITHIN_S):
            name = ""
            while True:
                field, _, value = (await anext(self._lines)).partition(": ")
                if field == "id":
                    self.last_id = value
                elif field == "event":
                    name = value
                elif field == "data":
                    return name, json.loads(value)

    async def end(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            async for _ in self._lines:
                pass


@asynccontextmanager
async def stream(api: ApiProcess, token: str, **headers: str) -> AsyncIterator[Events]:
    async with api.client(token) as client, client.stream("GET", "/api/progress/stream", headers=headers) as response:
        yield Events(response)


async def complete(api: ApiProcess, token: str, course: UUID, lesson: str = "a") -> None:
    async with api.client(token) as client:
        body = {"courseId": str(course), "lessonId": lesson, "totalLessons": 4}
        (await client.post("/api/progress/complete", json=body)).raise_for_status()


@pytest.mark.parametrize("writer", [0, 1], ids=["this process", "another process"])
async def test_a_change_is_seen_whichever_process_wrote_it(
    two: list[ApiProcess], issuer: Issuer, user: UUID, course: UUID, writer: int
) -> None:
    token, other = issuer.token(user), uuid4()
    await complete(two[0], token, other)
    async with stream(two[0], token) as events:
        assert events.response.headers["Content-Type"].startswith("text/event-stream")
        name, data = await events.next()
        assert (name, [progress["courseId"] for progress in data["items"]]) == ("snapshot", [str(other)])
        began = data["asOf"]

        await complete(two[writer], token, course)
        name, data = await events.next()

        assert (name, data["progress"]["courseId"], data["progress"]["completedLessons"]) == (
            "progress",
            str(course),
            ["a"],
        )
        assert data["asOf"] > began


async def test_a_badge_is_told_once_and_an_old_one_never(
    two: list[ApiProcess], issuer: Issuer, user: UUID, course: UUID, rows: asyncpg.Connection
) -> None:
    async def award(badge: str, *, fresh: bool) -> None:
        await rows.execute(
            "insert into badge_award (user_id, badge, number, title, description, earned_on, cause, fresh)"
            " values ($1, $2, 1, $2, 'd', current_date, 'learner', $3)",
            *(user, badge, fresh),
        )

    token = issuer.token(user)
    await award("before", fresh=True)
    async with stream(two[0], token) as events:
        assert (await events.next())[0] == "snapshot"
        await award("old", fresh=False)
        await award("week", fresh=True)

        name, data = await events.next()

        assert (name, data["badge"]["badge"], data["badge"]["isNew"]) == ("badge", "week", True)
        await asyncio.sleep(POLL_AWARDS_EVERY_S)
        await complete(two[0], token, course)
        assert (await events.next())[0] == "progress"


async def test_a_reset_course_is_removed(two: list[ApiProcess], issuer: Issuer, user: UUID, course: UUID) -> None:
    token = issuer.token(user)
    await complete(two[0], token, course)
    async with stream(two[0], token) as events, two[1].client(token) as client:
        await events.next()
        await client.post("/api/progress/reset", json={"courseId": str(course)})

        name, data = await events.next()

    assert (name, data["courseId"]) == ("removed", str(course))


async def test_a_client_that_comes_back_and_missed_nothing_is_not_sent_it_again(
    two: list[ApiProcess], issuer: Issuer, user: UUID, course: UUID
) -> None:
    token = issuer.token(user)
    await complete(two[0], token, course)
    async with stream(two[0], token) as events:
        await events.next()
    async with stream(two[1], token, **{"Last-Event-ID": events.last_id}) as again:
        await complete(two[0], token, course, "b")
        name, _ = await again.next()
    async with stream(two[1], token, **{"Last-Event-ID": events.last_id}) as late:
        late_name, _ = await late.next()

    assert (name, late_name) == ("progress", "snapshot")


async def test_other_learners_changes_are_not_sent(
    two: list[ApiProcess], issuer: Issuer, user: UUID, course: UUID
) -> None:
    token = issuer.token(user)
    async with stream(two[0], token) as events:
        await events.next()
        await complete(two[0], issuer.token(uuid4()), course, "theirs")
        await complete(two[0], token, course, "mine")

        _, data = await events.next()

    assert data["progress"]["completedLessons"] == ["mine"]


async def test_a_learner_has_a_bounded_number_of_streams_and_closed_ones_do_not_count(
    two: list[ApiProcess], issuer: Issuer, user: UUID
) -> None:
    token = issuer.token(user)

    async def opens() -> int:
        async with stream(two[0], token) as events:
            return events.response.status_code

    async with stream(two[0], token), stream(two[0], token), stream(two[0], token), stream(two[0], token):
        async with stream(two[0], token):
            assert await opens() == 429

        async def opens_again() -> bool:
            return await opens() == 200

        await eventually(opens_again)


async def test_a_stream_ends_with_its_token(two: list[ApiProcess], issuer: Issuer, user: UUID) -> None:
    async with stream(two[0], issuer.token(user, exp=int(time.time()) + 2)) as events:
        await events.end()


async def test_a_stopped_process_ends_its_streams_and_itself_with_status_0(
    shared: ApiSettings, issuer: Issuer, user: UUID
) -> None:
    async with running(shared) as api, stream(api, issuer.token(user)) as events:
        await events.next()
        stopped = asyncio.create_task(asyncio.to_thread(api.process.stop))
        await events.end()

        assert await stopped == 0


async def test_a_stream_says_that_the_database_is_away_and_goes_on_when_it_is_back(
    admin_url: str, template: str, shared: ApiSettings, issuer: Issuer, user: UUID
) -> None:
    async with new_database(admin_url, template) as url:
        database = url.rpartition("/")[2]
        elsewhere = shared.model_copy(update={"database_url": SecretStr(url)})
        async with running(elsewhere) as api, stream(api, issuer.token(user)) as events:
            assert (await events.next())[0] == "snapshot"
            await execute(admin_url, f"alter database {database} allow_connections false")
            await execute(
                admin_url, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"
            )
            assert await events.next() == ("unavailable", {})

            await execute(admin_url, f"alter database {database} allow_connections true")

            assert (await events.next())[0] == "snapshot"


async def test_a_change_wakes_every_waiting_stream() -> None:
    watched = WatchedLearner()
    changed = watched.changed

    watched.update(None)

    assert changed.is_set()
    assert not watched.changed.is_set()


def test_an_unchanged_state_is_not_sent() -> None:
    before, now = (State(mark, datetime.now(UTC), {}) for mark in (1, 2))

    assert list(format_changes(before, now, None)) == []


def build_progress(completed: int = 1, lessons: int = 1) -> CourseProgress:
    at = datetime.now(UTC)
    ids = tuple(f"{n}" for n in range(lessons))
    return CourseProgress(uuid4(), uuid4(), completed, 10_000, 1, ids, None, at, at, None, 0)


def build_state(mark: int, *courses: CourseProgress, whole: bool = True) -> State:
    return State(mark, datetime.now(UTC), {each.course_id: drop_long_list(each) for each in courses}, whole)


def list_names(events: Iterable[str]) -> list[str]:
    return [line.removeprefix("event: ") for text in events for line in text.splitlines() if "event: " in line]


def test_a_change_of_a_large_course_is_sent_with_its_counts_and_without_its_list() -> None:
    before = build_progress(60_000, MOST_LESSONS)
    after = replace(before, lessons_completed=60_001, last_lesson_id="the last")

    [event] = format_changes(build_state(1, before), build_state(2, after), None)

    sent = json.loads(event.partition("data: ")[2])["progress"]
    assert (sent["completedLessons"], sent["moreLessons"], sent["lessonsCompleted"]) == ([], 60_001, 60_001)
    assert sent["lastLessonId"] == "the last"


def test_a_list_of_five_hundred_is_sent_and_a_longer_one_is_not() -> None:
    assert drop_long_list(build_progress(500, 500)).completed_lessons != ()
    assert drop_long_list(build_progress(501, 501)).completed_lessons == ()


def test_beyond_the_courses_of_a_stream_a_new_snapshot_tells_of_a_change() -> None:
    first, second, third = (build_progress() for _ in range(3))
    before = build_state(1, first, second, whole=False)

    hidden = list_names(format_changes(before, build_state(2, first, second, whole=False), None))
    moved_in = list_names(format_changes(before, build_state(2, third, first, whole=False), None))
    changed = replace(first, lessons_completed=2)
    shown = list_names(format_changes(before, build_state(2, changed, second, whole=False), None))

    assert (hidden, moved_in, shown) == (["snapshot"], ["snapshot"], ["progress"])


async def test_a_snapshot_of_a_learner_with_many_courses_leads_to_the_next_page(
    two: list[ApiProcess], issuer: Issuer, user: UUID, rows: asyncpg.Connection
) -> None:
    await rows.execute(
        """
        insert into course_progress_all (user_id, course_id, last_accessed_at, started_at)
        select $1, gen_random_uuid(), now(), now() from generate_series(1, 5000)
        """,
        user,
    )
    async with stream(two[0], issuer.token(user)) as events, two[0].client(issuer.token(user)) as client:
        _, data = await events.next()
        page = await client.get("/api/progress", params={"cursor": data["nextCursor"], "limit": 1})
        await complete(two[0], issuer.token(user), UUID(page.json()["items"][0]["courseId"]))
        name, changed = await events.next()

    assert len(data["items"]) == MOST_COURSES_SHOWN
    assert page.json()["items"][0]["courseId"] not in {item["courseId"] for item in data["items"]}
    assert (name, len(changed["items"])) == ("snapshot", MOST_COURSES_SHOWN)


async def test_a_stream_without_changes_sends_heartbeats(
    monkeypatch: pytest.MonkeyPatch, service: ProgressService
) -> None:
    monkeypatch.setattr("worker.web.api.stream.HEARTBEAT_S", 0.01)
    sent = stream_events(ProgressPoller(service, 1, 1), WatchedLearner(), None, time.time() + WITHIN_S)

    assert [await anext(sent), await anext(sent)] == ["retry: 2000\n\n", "event: heartbeat\ndata: {}\n\n"]
