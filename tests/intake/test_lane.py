"""A lane hands over each record of its partitions once, from the stored offset on."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from events.kinds import Kind
from tests.intake.fakes import P0, P1, FakeAgent, FakeConsumer, FakeSink, lanes_over, record
from worker.errors import BreakerOpen, DatabaseUnavailable
from worker.intake.lane import LARGE_VALUE, Lane
from worker.kafka.inflation import LIMIT
from worker.stream.batch import Span
from worker.stream.cut_record import LARGEST_RECORD, CutRecord
from worker.stream.outcome import Outcome, Rejected, Skipped
from worker.stream.sink import OffsetsMoved


def offsets(agent: FakeAgent) -> list[tuple[int, int]]:
    return [(r.partition, r.offset) for batch in agent.taken for r, _ in batch.entries]


async def test_reads_from_the_stored_offset() -> None:
    agent = FakeAgent()
    [lane, _] = lanes_over(FakeConsumer({P0: [record(P0, n) for n in range(5)]}), FakeSink({P0: 3}), agent)
    lane.assign({P0})

    await lane.turn()

    assert offsets(agent) == [(0, 3), (0, 4)]
    assert agent.taken[0].spans == {P0: Span(3, 5)}


async def test_offsets_that_are_never_handed_out_are_applied_too() -> None:
    """Behind the last record stands a transaction's marker."""
    agent = FakeAgent()
    consumer = FakeConsumer({P0: [record(P0, 0)]})
    [lane, _] = lanes_over(consumer, FakeSink({P0: 1}), agent)
    lane.assign({P0})
    await lane.turn()
    consumer.seek(P0, 2)

    await lane.turn()

    assert [batch.spans for batch in agent.taken] == [{P0: Span(1, 2)}]


async def test_a_lane_that_compared_its_offsets_again_waits_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database was away between two batches, and no record comes whose batch would end the wait."""
    monkeypatch.setattr("worker.intake.lane.COMPARE_EVERY_S", -1)
    sink = FakeSink()
    [lane, _] = lanes_over(FakeConsumer({P0: []}), sink, FakeAgent())
    lane.assign({P0})
    await lane.turn()

    sink.fail_with = [DatabaseUnavailable("away")]
    await lane.turn()
    waited = lane.waiting
    await lane.turn()

    assert (waited, lane.waiting) == ("away", None)


async def test_a_lane_whose_waiting_batch_went_to_another_worker_waits_no_more() -> None:
    consumer = FakeConsumer({P0: [record(P0, 0)]})
    replies: list[OffsetsMoved | Exception] = [DatabaseUnavailable("away"), OffsetsMoved({P0: 1})]
    [lane, _] = lanes_over(consumer, FakeSink(), FakeAgent(lambda _: replies.pop(0)))
    lane.assign({P0})
    await lane.turn()
    waited = lane.waiting
    lane.assign(set())

    await lane.turn()

    assert (waited, lane.waiting) == ("away", None)


class Overtaken(FakeConsumer):
    """Before the first fetch returns, a rebalance gives each lane the other one's partition."""

    lanes: list[Lane]
    raises: Exception | None = None

    async def getmany(self, *partitions: TopicPartition, **limits: Any) -> dict[TopicPartition, list[ConsumerRecord]]:
        fetched = await super().getmany(*partitions, **limits)
        if partitions == (P0,) and self.lanes[0].partitions.assigned == {P0}:
            for lane, tp in zip(self.lanes, (P1, P0), strict=True):
                lane.assign({tp})
            if self.raises:
                raise self.raises
        return fetched


@pytest.mark.parametrize("raises", [None, UnicodeDecodeError("utf-8", b"", 0, 1, "")], ids=["strays", "unreadable"])
async def test_what_a_lane_took_of_a_partition_that_went_to_the_other_is_read_again(raises: Exception | None) -> None:
    agent = FakeAgent()
    consumer = Overtaken({P0: [record(P0, 0)], P1: [record(P1, 0)]})
    consumer.lanes = lanes = lanes_over(consumer, FakeSink(), agent)
    consumer.raises = raises
    lanes[0].assign({P0})
    lanes[1].assign({P1})

    for lane in (*lanes, *lanes):
        await lane.turn()

    assert sorted(offsets(agent)) == [(0, 0), (1, 0)]
    assert [lane.partitions.owned for lane in lanes] == [{P1}, {P0}]


async def test_a_flood_of_bad_records_reaches_no_agent() -> None:
    def reject(one: ConsumerRecord) -> Outcome:
        return Rejected(one, "bad", Kind.SCHEMA)

    agent = FakeAgent()
    [lane, _] = lanes_over(FakeConsumer({P0: [record(P0, n) for n in range(3)]}), FakeSink(), agent, reject)
    lane.assign({P0})

    with pytest.raises(BreakerOpen, match="3 of the last 3"):
        await lane.turn()
    await lane.idle_turn()

    assert agent.taken == []


class InPortions(FakeConsumer):
    """Hands out one record at a time of a batch that was inflated in the first fetch."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__({P0: [record(P0, n, bytes(size)) for n, size in enumerate(sizes)]})
        self._is_inflated = False

    async def getmany(self, *partitions: TopicPartition, **limits: Any) -> dict[TopicPartition, list[ConsumerRecord]]:
        fetched = {tp: found[:1] for tp, found in (await super().getmany(*partitions, **limits)).items()}
        self.position_of |= {tp: found[0].offset + 1 for tp, found in fetched.items()}
        if fetched and not self._is_inflated and (limit := LIMIT.get()):
            self._is_inflated = True
            limit.note(sum(len(one.value) for one in self.logs[P0]))
        return fetched


async def test_a_record_that_is_too_large_is_cut_wherever_in_its_batch_it_stands() -> None:
    agent = FakeAgent()
    consumer = InPortions([5, LARGEST_RECORD, 5, LARGEST_RECORD + 1])
    [lane, _] = lanes_over(consumer, FakeSink({P0: 0}), agent)
    lane.assign({P0})

    for _ in range(6):
        await lane.turn()

    taken = [one for batch in agent.taken for one, _ in batch.entries]
    assert [(one.offset, isinstance(one, CutRecord)) for one in taken] == [
        (0, False),
        (1, False),
        (2, False),
        (3, True),
    ]


class AtOnce(FakeConsumer):
    """Has inflated one large batch for every fetch."""

    async def getmany(self, *partitions: TopicPartition, **limits: Any) -> dict[TopicPartition, list[ConsumerRecord]]:
        if limit := LIMIT.get():
            limit.note(LARGEST_RECORD + 1)
        return await super().getmany(*partitions, **limits)


async def test_others_have_their_turn_between_large_records() -> None:
    """Kafka's heartbeats among them: to decode a megabyte of JSON may take a tenth of a second."""
    turns, seen, agent = 0, [], FakeAgent()

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def decode(_: ConsumerRecord) -> Outcome:
        seen.append(turns)
        return Skipped("")

    consumer = AtOnce({P0: [record(P0, n, bytes(LARGE_VALUE + 1)) for n in range(5)]})
    [lane, _] = lanes_over(consumer, FakeSink({P0: 0}), agent, decode)
    lane.assign({P0})
    beside = asyncio.create_task(others())
    await lane.turn()
    beside.cancel()

    assert len(set(seen)) == 5
    assert offsets(agent) == [(0, n) for n in range(5)]
    assert agent.taken[0].spans == {P0: Span(0, 5)}
