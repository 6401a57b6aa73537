"""Whether a worker that stops gives up its static place in the consumer group."""

import asyncio

import pytest

from worker.intake import departure
from worker.intake.departure import leaves_for_good
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
