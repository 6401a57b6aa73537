"""A lane of the intake: what it does with records that are another's."""

from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from worker.lane import Lane, Shared
from worker.membership import Membership
from worker.settings import Settings

MINE, THEIRS = TopicPartition("lesson-events", 0), TopicPartition("lesson-events", 1)


class Consumer:
    """Hands out what was asked for before the partitions were shared anew."""

    def __init__(self, records: dict[TopicPartition, list[str]]) -> None:
        self._records = records

    async def getmany(self, *_: TopicPartition, **__: int) -> dict[TopicPartition, list[str]]:
        return self._records

    def assignment(self) -> set[TopicPartition]:
        return {MINE, THEIRS}

    def pause(self, *_: TopicPartition) -> None:
        pass


async def test_what_a_lane_took_of_another_ones_partition_is_read_again_by_that_one() -> None:
    settings, nothing, consumer = Settings(), SimpleNamespace(), Consumer({MINE: ["mine"], THEIRS: ["theirs"]})
    lanes: list[Lane] = []

    def give_back(partitions: Any) -> None:
        for lane in lanes:
            lane.readopt(partitions)

    shared = Shared(
        settings=settings,
        consumer=consumer,
        batches=nothing,  # type: ignore[arg-type]
        identity=nothing,  # type: ignore[arg-type]
        ends=nothing,  # type: ignore[arg-type]
        breaker=nothing,  # type: ignore[arg-type]
        membership=Membership(settings),
        committable={},
        give_back=give_back,
    )
    lanes += [Lane(number, shared, nothing) for number in range(2)]  # type: ignore[arg-type]
    for lane, tp in zip(lanes, (MINE, THEIRS), strict=True):
        lane.assign({tp})
        lane._unadopted.clear()
        lane._next[tp] = 7  # adopted

    fetched = await lanes[0]._getmany(0)

    assert fetched == {MINE: ["mine"]}
    assert [lane.owned for lane in lanes] == [{MINE}, set()]
    assert lanes[1]._unadopted == {THEIRS}
