"""The stored offsets of a stream: one caller moves them, all or none."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal, TypeAlias
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition

from tests.processes import eventually
from worker.errors import DatabaseUnavailable
from worker.postgres.connection import close, connect
from worker.postgres.failures import translate_errors
from worker.postgres.stream_offsets import StreamOffsets
from worker.settings import Settings
from worker.stream.sink import OffsetsMoved, Span, Spans, StoredOffset

Isolation: TypeAlias = Literal["read_committed", "repeatable_read"]

P0, P1, P2 = (TopicPartition("course-catalog", partition) for partition in range(3))
OFFSETS = StreamOffsets("catalog")


@pytest.fixture
async def other(database_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect(database_settings)
    yield opened
    await close(opened)


async def read_next_offsets(
    offsets: StreamOffsets, connection: asyncpg.Connection, partitions: list[TopicPartition]
) -> dict[TopicPartition, int | None]:
    found = await offsets.stored_offsets(connection, partitions)
    return {tp: offset and offset.next for tp, offset in found.items()}


async def test_all_move(connection: asyncpg.Connection) -> None:
    assert await read_next_offsets(OFFSETS, connection, [P0, P1]) == {P0: None, P1: None}
    assert await OFFSETS.move(connection, {P0: Span(None, 4), P1: Span(None, 9)}) is None
    assert await OFFSETS.move(connection, {P0: Span(4, 5), P2: Span(None, 1)}) is None

    assert await read_next_offsets(OFFSETS, connection, [P0, P1, P2]) == {P0: 5, P1: 9, P2: 1}


async def test_the_leader_epoch_is_kept_beside_the_offset(connection: asyncpg.Connection) -> None:
    await OFFSETS.move(connection, {P0: Span(None, 4, leader_epoch=7), P1: Span(None, 1)})
    assert await OFFSETS.stored_offsets(connection, [P0, P1]) == {P0: StoredOffset(4, 7), P1: StoredOffset(1, None)}

    await OFFSETS.move(connection, {P0: Span(4, 2, leader_epoch=8)})
    assert await OFFSETS.stored_offsets(connection, [P0]) == {P0: StoredOffset(2, 8)}


async def test_nothing_to_move(connection: asyncpg.Connection) -> None:
    assert await OFFSETS.move(connection, {}) is None


@pytest.mark.parametrize(
    ("spans", "found"),
    [
        ({P0: Span(3, 6), P1: Span(9, 10)}, {P0: 4}),
        ({P0: Span(None, 6), P1: Span(8, 10), P2: Span(None, 1)}, {P0: 4, P1: 9}),
        ({P1: Span(9, 10), P2: Span(7, 8)}, {P2: None}),
    ],
    ids=["one is elsewhere", "two are elsewhere", "one was never stored"],
)
async def test_none_moves_if_one_is_elsewhere(
    connection: asyncpg.Connection, spans: Spans, found: dict[TopicPartition, int | None]
) -> None:
    await OFFSETS.move(connection, {P0: Span(None, 4), P1: Span(None, 9)})

    assert await OFFSETS.move(connection, spans) == OffsetsMoved(found)

    assert await read_next_offsets(OFFSETS, connection, [P0, P1, P2]) == {P0: 4, P1: 9, P2: None}


async def test_groups_are_apart(connection: asyncpg.Connection) -> None:
    await OFFSETS.move(connection, {P0: Span(None, 4)})

    assert await read_next_offsets(StreamOffsets("history"), connection, [P0]) == {P0: None}
    assert await StreamOffsets("history").move(connection, {P0: Span(None, 1)}) is None
    assert await read_next_offsets(OFFSETS, connection, [P0]) == {P0: 4}


@pytest.mark.parametrize("isolation", ["read_committed", "repeatable_read"])
@pytest.mark.parametrize("expected", [None, 4], ids=["none is stored", "one is stored"])
async def test_one_of_two_at_once_wins(
    connection: asyncpg.Connection, other: asyncpg.Connection, isolation: Isolation, expected: int | None
) -> None:
    """The second waits for the first. Then it finds the offset moved, or is told to repeat its transaction."""
    if expected is not None:
        await OFFSETS.move(connection, {P0: Span(None, expected)})
    transaction = connection.transaction(isolation=isolation)
    await transaction.start()
    assert await OFFSETS.move(connection, {P0: Span(expected, 5)}) is None

    late = asyncio.create_task(move(other, isolation, {P0: Span(expected, 6), P1: Span(None, 1)}))
    await eventually(lambda: waits(connection, other), 10)
    await transaction.commit()

    assert await late in (OffsetsMoved({P0: 5}), "repeat")
    assert await read_next_offsets(OFFSETS, connection, [P0, P1]) == {P0: 5, P1: None}


async def move(connection: asyncpg.Connection, isolation: Isolation, spans: Spans) -> OffsetsMoved | str | None:
    try:
        with translate_errors(connection):
            async with connection.transaction(isolation=isolation):
                return await OFFSETS.move(connection, spans)
    except DatabaseUnavailable:
        return "repeat"


async def waits(connection: asyncpg.Connection, other: asyncpg.Connection) -> bool:
    return bool(await connection.fetchval("select cardinality(pg_blocking_pids($1)) > 0", other.get_server_pid()))


async def test_callers_at_once_lose_no_step(
    database_settings: Settings, connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    """Each of two callers moves two offsets by one, twenty times, from where it finds them."""

    async def moves(own: asyncpg.Connection) -> None:
        seen = await read_next_offsets(OFFSETS, own, [P0, P1])
        for _ in range(20):
            while (lost := await move(own, "read_committed", steps(seen))) is not None:
                seen = await read_next_offsets(OFFSETS, own, [P0, P1]) if lost == "repeat" else {**seen, **lost.found}
            seen = {tp: span.next for tp, span in steps(seen).items()}

    await asyncio.gather(moves(connection), moves(other))

    assert await read_next_offsets(OFFSETS, connection, [P0, P1]) == {P0: 40, P1: 40}


def steps(seen: dict[TopicPartition, int | None]) -> dict[TopicPartition, Span]:
    return {tp: Span(offset, (offset or 0) + 1) for tp, offset in seen.items()}


async def test_a_topic_is_known_while_offsets_are_stored(connection: asyncpg.Connection) -> None:
    first, second = uuid4(), uuid4()

    assert await OFFSETS.known_topic(connection, P0.topic, first) == first
    assert await OFFSETS.known_topic(connection, P0.topic, second) == second  # no offset is stored: none counts in it
    await OFFSETS.move(connection, {P0: Span(None, 1)})

    assert await OFFSETS.known_topic(connection, P0.topic, first) == second
