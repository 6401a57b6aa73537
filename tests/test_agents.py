"""The agent settles every batch, whatever happens to it."""

import asyncio
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from worker.agents import apply_handover
from worker.deadletters.writer import DeadLetterWriter
from worker.errors import AgentGone
from worker.stream.batch import Batch, Span
from worker.stream.sink import Applied, Handover, Sink


class NoLetters:
    async def write(self, rejected: list[Any]) -> None:
        assert rejected == []


class Hanging:
    """A sink that answers when the test says so."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def apply_batch(self, _: Batch) -> Applied:
        self.asked.set()
        await self.answer.wait()
        return Applied(0)


def settling() -> tuple[Handover, Hanging, asyncio.Task[bool]]:
    sink = Hanging()
    batch = Batch([], {TopicPartition("t", 0): Span(0, 1)})
    handover = Handover(batch, cast(Sink, sink), asyncio.get_running_loop().create_future())
    return handover, sink, asyncio.create_task(apply_handover(handover, cast(DeadLetterWriter, NoLetters())))


async def test_an_agent_that_is_cancelled_gives_its_batch_back_to_be_repeated() -> None:
    handover, sink, task = settling()
    await sink.asked.wait()
    task.cancel()

    with pytest.raises(AgentGone):
        await handover.settled
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_batch_that_nobody_waits_for_any_more_harms_no_agent() -> None:
    handover, sink, task = settling()
    await sink.asked.wait()
    handover.settled.cancel()
    sink.answer.set()

    assert await task is False
