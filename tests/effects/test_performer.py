"""Effects that are due are performed once each, whatever fails, and by however many processes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from tests.processes import eventually
from worker.effects.performer import Performer
from worker.errors import DatabaseUnavailable, SetupError
from worker.postgres.effect_rows import EffectRow, plan_effects, wake_effects
from worker.settings import Settings
from worker.stream.effect import Later, Perform, Planned

PAST = datetime(2026, 1, 1, tzinfo=UTC)
USER = uuid4()


async def plan(connection: asyncpg.Connection, *keys: str, kind: str = "note", due_at: datetime = PAST) -> int:
    return await plan_effects(connection, kind, [EffectRow(key, USER, "course-events", 3, due_at) for key in keys])


async def waiting(connection: asyncpg.Connection) -> list[tuple[str, int, str | None]]:
    return [tuple(row) for row in await connection.fetch("select key, attempts, reason from effect order by key")]


@pytest.fixture
async def notes(connection: asyncpg.Connection) -> asyncpg.Connection:
    """Yields the connection, with a table in which an effect leaves a trace."""
    await connection.execute("create table note (key text)")
    return connection


async def write_note(connection: asyncpg.Connection, planned: Planned) -> None:
    await connection.execute("insert into note values ($1)", planned.key)


async def read_notes(connection: asyncpg.Connection) -> list[str]:
    return [row["key"] for row in await connection.fetch("select key from note order by key")]


@pytest.fixture
async def perform_all(database_settings: Settings, notes: asyncpg.Connection) -> Callable[..., object]:
    """Returns what performs everything that is due with one performer, over the test's connection."""

    async def perform(do: Perform, kind: str = "note") -> Performer:
        performer = Performer(database_settings, {kind: do}, at_once=1)
        while await performer.perform_next(notes):
            pass
        return performer

    return perform


async def test_what_is_due_is_performed_with_the_record_that_caused_it_and_its_row_goes(
    notes: asyncpg.Connection, perform_all: Callable[..., object]
) -> None:
    await plan(notes, "a", "b")
    await plan(notes, "later", due_at=datetime.now(UTC) + timedelta(hours=1))
    await plan(notes, "of another kind", kind="other")
    seen = []

    async def perform(connection: asyncpg.Connection, planned: Planned) -> None:
        seen.append(planned)

    await perform_all(perform)

    assert seen == [Planned("a", "course-events", 3, 0), Planned("b", "course-events", 3, 0)]
    assert await waiting(notes) == [("later", 0, None), ("of another kind", 0, None)]


async def test_planning_again_adds_nothing_and_makes_what_waits_due(
    notes: asyncpg.Connection, perform_all: Callable[..., object]
) -> None:
    async def wait(connection: asyncpg.Connection, planned: Planned) -> Later:
        return Later("no name")

    assert await plan(notes, "a", "a") == 1
    await perform_all(wait)
    assert await waiting(notes) == [("a", 1, "no name")]
    await plan(notes, "a")

    await perform_all(write_note)

    assert await read_notes(notes) == ["a"]
    assert await waiting(notes) == []


async def test_a_learner_whom_effects_wait_for_wakes_them(
    notes: asyncpg.Connection, perform_all: Callable[..., object]
) -> None:
    await plan(notes, "a", due_at=datetime.now(UTC) + timedelta(hours=1))

    assert await wake_effects(notes, "note", [uuid4()]) == 0
    assert await wake_effects(notes, "note", [USER, USER]) == 1
    await perform_all(write_note)

    assert await read_notes(notes) == ["a"]


FAILURES = {
    "no key: set it": SetupError("no key: set it"),
    "busy": DatabaseUnavailable("busy"),
    "bug: RuntimeError": RuntimeError("the name of a learner"),
    "/logo.svg: Permission denied": PermissionError(13, "Permission denied", "/logo.svg"),
    "what it needs did not answer in time": TimeoutError(),
}


@pytest.mark.parametrize("reason", FAILURES)
async def test_what_fails_leaves_its_reason_and_nothing_else_and_stops_no_other(
    notes: asyncpg.Connection, perform_all: Callable[..., object], reason: str
) -> None:
    await plan(notes, "a", "b", "c")

    async def perform(connection: asyncpg.Connection, planned: Planned) -> None:
        await write_note(connection, planned)
        if planned.key == "b":
            raise FAILURES[reason]

    await perform_all(perform)

    assert await read_notes(notes) == ["a", "c"]
    assert await waiting(notes) == [("b", 1, reason)]


async def test_what_postgresql_refuses_leaves_its_reason(
    notes: asyncpg.Connection, perform_all: Callable[..., object]
) -> None:
    await plan(notes, "a", "b")

    async def perform(connection: asyncpg.Connection, planned: Planned) -> None:
        await write_note(connection, planned)
        if planned.key == "a":
            await connection.execute("select 1 / 0")

    await perform_all(perform)

    assert await read_notes(notes) == ["b"]
    assert await waiting(notes) == [("a", 1, "bug: DivisionByZeroError")]


async def test_the_back_off_grows_and_has_a_limit(
    notes: asyncpg.Connection, perform_all: Callable[..., object]
) -> None:
    await plan(notes, "a")
    pauses = []

    async def wait(connection: asyncpg.Connection, planned: Planned) -> Later:
        return Later("no name")

    for _ in range(13):
        performer = await perform_all(wait)
        assert not await performer.perform_next(notes)
        pauses.append(await notes.fetchval("select round(extract(epoch from due_at - now()))::integer from effect"))
        await notes.execute("update effect set due_at = now()")

    assert pauses[:4] == pytest.approx([1, 2, 4, 8], abs=1)
    assert pauses[-1] == pytest.approx(600, abs=1)


async def test_an_effect_may_say_when_it_is_due_again(
    notes: asyncpg.Connection, perform_all: Callable[..., object]
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await plan(notes, "a")

    async def wait(connection: asyncpg.Connection, planned: Planned) -> Later:
        return Later(None, tomorrow)

    await perform_all(wait)

    assert tuple(await notes.fetchrow("select due_at, attempts, reason from effect")) == (tomorrow, 0, None)


async def test_a_server_that_is_away_changes_nothing(notes: asyncpg.Connection, database_settings: Settings) -> None:
    await plan(notes, "a")

    async def perform(connection: asyncpg.Connection, planned: Planned) -> None:
        await write_note(connection, planned)
        connection.terminate()
        await connection.fetch("select")

    away = await asyncpg.connect(database_settings.database_url.get_secret_value())
    with pytest.raises(DatabaseUnavailable):
        await Performer(database_settings, {"note": perform}, at_once=1).perform_next(away)

    assert await read_notes(notes) == []
    assert await waiting(notes) == [("a", 0, None)]


@pytest.fixture
async def performers(database_settings: Settings) -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as running:
        yield running


async def test_several_performers_share_the_work_and_do_nothing_twice(
    notes: asyncpg.Connection, database_settings: Settings, performers: AsyncExitStack
) -> None:
    by: dict[str, int] = {}
    both = asyncio.Event()
    for number in range(2):

        async def perform(connection: asyncpg.Connection, planned: Planned, number: int = number) -> None:
            by[planned.key] = number
            if len(set(by.values())) == 2:
                both.set()
            async with asyncio.timeout(60):
                await both.wait()  # each performer has claimed one
            await write_note(connection, planned)

        performer = Performer(database_settings, {"note": perform}, at_once=1)
        await performer.start()
        performers.push_async_callback(performer.stop)
    keys = [f"{number:02}" for number in range(40)]
    await plan(notes, *keys)

    async def all_done() -> bool:
        return not await waiting(notes)

    await eventually(all_done)
    assert await read_notes(notes) == keys


async def test_a_stop_lets_the_effect_in_hand_finish(notes: asyncpg.Connection, database_settings: Settings) -> None:
    begun = asyncio.Event()

    async def perform(connection: asyncpg.Connection, planned: Planned) -> None:
        begun.set()
        await asyncio.sleep(0.3)
        await write_note(connection, planned)

    performer = Performer(database_settings, {"note": perform}, at_once=1)
    await performer.start()
    await plan(notes, "a", "b")
    await begun.wait()
    await performer.stop()

    assert len(await read_notes(notes)) == 1
    assert len(await waiting(notes)) == 1
