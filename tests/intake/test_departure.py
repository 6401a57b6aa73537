"""Whether a worker that stops gives up its static place in the consumer group."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from worker.intake import departure
from worker.intake.departure import depart, leaves_for_good
from worker.settings import Settings
from worker.stateful_set import NotTold


async def is_told_nothing(_: str) -> bool | None:
    raise NotTold("Kubernetes answers 403")


async def waits_for_ever(_: str) -> bool | None:
    await asyncio.Event().wait()
    return None


def answers(has_place: bool | None) -> object:
    async def answer(_: str) -> bool | None:
        return has_place

    return answer


@pytest.mark.parametrize(
    ("by", "kubernetes", "leaves"),
    [
        ("always", answers(True), True),
        ("never", answers(False), False),
        ("auto", answers(True), False),
        ("auto", answers(False), True),
        ("auto", answers(None), False),
        ("auto", is_told_nothing, False),
        ("auto", waits_for_ever, False),
    ],
)
async def test_it_leaves_for_good_if_it_is_told_to_or_if_its_pod_is_known_not_to_come_back(
    monkeypatch: pytest.MonkeyPatch, by: str, kubernetes: object, leaves: bool
) -> None:
    monkeypatch.setattr(departure, "has_place", kubernetes)
    monkeypatch.setattr(departure, "ASK_WITHIN_S", 0.05)

    assert await leaves_for_good(Settings(group_instance_id="worker-3", leave_on_stop=by)) is leaves


class Consumer:
    """Stops, as aiokafka's does; its coordinator ends its part in the group in the given way."""

    def __init__(self, end: Callable[[], Awaitable[None]]) -> None:
        self.stopped = 0
        self.member_id, self.coordinator_id, self.group_id = "one-1", 1, "group"
        self.close = end
        self._coordinator = self

    async def stop(self) -> None:
        self.stopped += 1


async def hangs() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise KafkaConnectionError


@pytest.mark.parametrize("end", [hangs, fails])
async def test_a_consumer_is_closed_also_where_kafka_does_not_hear_that_it_leaves(
    monkeypatch: pytest.MonkeyPatch, end: Callable[[], Awaitable[None]]
) -> None:
    monkeypatch.setattr(departure, "LEAVE_WITHIN_S", 0.05)
    consumer: Any = Consumer(end)

    await depart(consumer, Settings(group_instance_id="one"), for_good=True)

    assert consumer.stopped == 1


@pytest.mark.parametrize(("static_id", "for_good"), [("one", False), (None, True)])
async def test_nothing_is_asked_of_kafka_where_aiokafka_does_what_is_right(
    static_id: str | None, for_good: bool
) -> None:
    consumer: Any = Consumer(fails)

    await depart(consumer, Settings(group_instance_id=static_id), for_good=for_good)

    assert consumer.stopped == 1


async def test_a_consumer_that_never_started_has_no_place_to_leave() -> None:
    consumer: Any = Consumer(fails)
    consumer._coordinator = None

    await depart(consumer, Settings(group_instance_id="one"), for_good=True)

    assert consumer.stopped == 1
