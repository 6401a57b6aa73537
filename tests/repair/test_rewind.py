"""Stored offsets move back at any time, forward only when asked to, and never under a worker."""

from datetime import UTC, datetime

import asyncpg
import pytest
from aiokafka import TopicPartition

from tests.databases import offsets
from tests.factories import accesses
from tests.topics import publish
from worker.errors import SetupError
from worker.kafka.topics import admin_client
from worker.repair.rewind import Move, Target, rewind
from worker.settings import Settings

TP = TopicPartition("lesson-events", 0)


@pytest.mark.parametrize(
    ("move", "skipped"),
    [
        (Move(TP, stored=8, first=2, end=9, to=2), 0),
        (Move(TP, stored=8, first=2, end=9, to=9), 1),
        (Move(TP, stored=1, first=4, end=9, to=4), 0),  # what retention deleted is gone already
        (Move(TP, stored=None, first=2, end=9, to=2), 0),
        (Move(TP, stored=None, first=2, end=9, to=5), 3),
        (Move(TP, stored=50, first=0, end=9, to=5), 5),  # beyond the log: of another one
        (Move(TP, stored=8, first=0, end=9, to=5, recreated=True), 5),
    ],
)
def test_what_would_never_be_applied_is_counted(move: Move, skipped: int) -> None:
    assert move.skipped == skipped


async def test_events_are_skipped_only_when_that_is_asked_for(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    await publish(settings, accesses(5))
    ends = {move.tp.partition: move.end for move in await rewind(settings, "earliest", [])}
    [partition] = [number for number, end in ends.items() if end]

    with pytest.raises(SetupError, match=r"3 events would never be applied.*--skip"):
        await rewind(settings, 3, [partition])
    with pytest.raises(SetupError, match="--skip"):
        await rewind(settings, datetime.now(UTC).replace(year=2099), [])
    assert await offsets(connection) == {}
    [move] = await rewind(settings, 3, [partition], skip=True)

    assert (move.skipped, await offsets(connection)) == (3, {partition: 3})


@pytest.mark.parametrize(
    ("to", "partition", "why"),
    [(6, 0, "offset 6 is not in it"), ("earliest", 9, "no partition 9")],
)
async def test_what_is_not_there_cannot_be_gone_back_to(
    settings: Settings, to: Target, partition: int, why: str
) -> None:
    with pytest.raises(SetupError, match=why):
        await rewind(settings, to, [partition], skip=True)


async def committed(settings: Settings) -> dict[int, int]:
    async with admin_client(settings) as admin:
        offsets = await admin.list_consumer_group_offsets(settings.consumer_group)
    return {tp.partition: found.offset for tp, found in offsets.items()}


async def test_offsets_of_partitions_that_are_gone_are_deleted(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    where = "insert into consumed_offset (consumer_group, topic, partition, next_offset) values ($1, $2, $3, 20)"
    for topic, partition in [(settings.lesson_events_topic, 9), ("another-topic", 9)]:
        await connection.execute(where, settings.consumer_group, topic, partition)

    await rewind(settings, "earliest", [])

    topics = await connection.fetch("select topic from consumed_offset where partition = 9")
    assert [row["topic"] for row in topics] == ["another-topic"]


async def test_kafkas_committed_offsets_move_too(settings: Settings) -> None:
    await publish(settings, accesses(5))
    ends = {move.tp.partition: move.end for move in await rewind(settings, "earliest", [])}
    [partition] = [number for number, end in ends.items() if end]
    await rewind(settings, 3, [partition], skip=True)
    assert (await committed(settings))[partition] == 3

    await rewind(settings, "earliest", [partition])

    assert (await committed(settings))[partition] == 0
