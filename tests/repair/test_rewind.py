"""Stored offsets move back at any time, forward only when asked to, and never under a worker."""

from datetime import UTC, datetime

import asyncpg
import pytest
from aiokafka import TopicPartition

from tests.databases import offsets
from tests.factories import accesses
from tests.topics import publish
from worker.errors import SetupError
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
