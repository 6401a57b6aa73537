"""A lane of the intake: what it does with records that are another's."""

from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from worker.intake.lane import Lane, Shared
from worker.intake.membership import Membership
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


def adopted_lanes(consumer: Any) -> list[Lane]:
    """Two, each of which reads its partition."""
    settings, nothing = Settings(), SimpleNamespace()
    lanes: list[Lane] = []

    def give_back(partitions: Any) -> None:
        for lane in lanes:
            lane.readopt(partitions)

    shared = Shared(
        settings=settings,
        consumer=consumer,
        batches=nothing,
        identity=nothing,
        ends=nothing,
        breaker=nothing,
        membership=Membership(settings),
        committable={},
        give_back=give_back,
    )
    lanes += [Lane(number, shared, nothing) for number in range(2)]
    for lane, tp in zip(lanes, (MINE, THEIRS), strict=True):
        adopt(lane, {tp})
    return lanes


def adopt(lane: Lane, partitions: set[TopicPartition]) -> None:
    lane.assign(partitions)
    lane._unadopted.clear()
    lane._next.update(dict.fromkeys(partitions, 7))


async def test_what_a_lane_took_of_another_ones_partition_is_read_again_by_that_one() -> None:
    lanes = adopted_lanes(Consumer({MINE: ["mine"], THEIRS: ["theirs"]}))

    fetched = await lanes[0]._getmany(0)

    assert fetched == {MINE: ["mine"]}
    assert [lane.owned for lane in lanes] == [{MINE}, set()]
    assert lanes[1]._unadopted == {THEIRS}


async def test_what_was_lost_with_an_unreadable_record_that_is_another_lanes_by_now_is_read_again() -> None:
    class Overtaken(Consumer):
        """A rebalance shares the partitions anew; then one turns out to have a record that cannot be read."""

        async def getmany(self, *_: TopicPartition, **__: int) -> dict[TopicPartition, list[str]]:
            adopt(lanes[0], {THEIRS})
            adopt(lanes[1], {MINE})
            raise UnicodeDecodeError("utf-8", b"", 0, 1, "")

    lanes = adopted_lanes(Overtaken({}))

    fetched = await lanes[0]._getmany(0)

    assert fetched == {}
    assert lanes[1]._unadopted == {MINE}
    assert lanes[1].owned == set()
