"""The agent settles every batch, whatever happens to it."""

import asyncio
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from worker.agents import settle
from worker.deadletters.writer import DeadLetterWriter
from worker.errors import AgentGone
from worker.progress.store import Store
from worker.stream.batch import Batch
from worker.stream.sink import Applied, Span


class NoLetters:
    async def write(self, rejected: list[Any]) -> None:
        assert rejected == []


class Hanging:
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def apply(self, *_: object) -> Applied:
        self.asked.set()
        await self.answer.wait()
        return Applied(0)


def settling() -> tuple[Batch, Hanging, asyncio.Task[bool]]:
    batch = Batch([], {TopicPartition("t", 0): Span(0, 1)})
    batch.settled = asyncio.get_running_loop().create_future()
    store = Hanging()
    task = asyncio.create_task(settle(batch, cast(Store, store), cast(DeadLetterWriter, NoLetters())))
    return batch, store, task


async def test_an_agent_that_is_cancelled_gives_its_batch_back_to_be_repeated() -> None:
    batch, store, task = settling()
    await store.asked.wait()
    task.cancel()

    with pytest.raises(AgentGone):
        await batch.settled
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_batch_that_nobody_waits_for_any_more_harms_no_agent() -> None:
    batch, store, task = settling()
    await store.asked.wait()
    batch.settled.cancel()
    store.answer.set()

    assert await task is False
