"""Dead letters come in portions, and others have their turn between two of them."""

import asyncio
from typing import Any

from aiokafka import TopicPartition

from worker.deadletters.fetch import LARGEST_BATCH, MOST_AT_ONCE, MOST_RECORDS, fetch_some
from worker.kafka.inflation import LIMIT

P0 = TopicPartition("dlq", 0)


class FakeConsumer:
    """Has every record at hand, so that its answers take no time."""

    async def getmany(self, *asked: TopicPartition, timeout_ms: int, max_records: int) -> dict[TopicPartition, Any]:
        limit = LIMIT.get()
        assert limit is not None
        return {asked[0]: [max_records, limit.most, limit.largest]}


async def test_a_portion_is_bounded_in_records_and_in_bytes() -> None:
    assert await fetch_some(FakeConsumer(), [P0], 200) == {P0: [MOST_RECORDS, MOST_AT_ONCE, LARGEST_BATCH]}
    assert LIMIT.get() is None


async def test_others_have_their_turn_between_two_portions() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    learner = asyncio.create_task(others())
    for _ in range(10):
        await fetch_some(FakeConsumer(), [P0], 200)
    learner.cancel()

    assert turns >= 10
