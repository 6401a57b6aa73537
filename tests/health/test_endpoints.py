"""Health is progress: live while the loop turns or has to wait, ready when nothing is known to be in the way."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import httpx

from tests.intake.fakes import FakeAgent, lanes_over
from worker.health.endpoints import create_health
from worker.intake.intake import Intake
from worker.outbox.relay import Relay
from worker.settings import Settings
from worker.stream.stream import Stream


async def live(intake: Any, relay: Any, *, later_s: float = 0) -> int:
    app = create_health(
        [intake], {"relay": relay}, Settings(database_timeout_s=60), now=lambda: time.monotonic() + later_s
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://worker") as client:
        return (await client.get("/live")).status_code


async def in_group() -> Intake:
    nothing: Any = None
    intake = Intake(Settings(), Stream("t", "g", nothing), nothing, [])
    intake._lanes = lanes_over(nothing, nothing, FakeAgent())
    intake._joined = True
    return intake


async def test_one_lane_that_does_not_turn_is_enough_not_to_be_live() -> None:
    intake, relay = await in_group(), SimpleNamespace(dead=False)
    intake._lanes[1].last_turn += 1000

    assert await live(intake, relay, later_s=1000) == 503


async def test_a_loop_that_does_not_turn_is_not_live() -> None:
    intake, relay = await in_group(), SimpleNamespace(dead=False)

    assert [await live(intake, relay, later_s=s) for s in (0, 100, 1000)] == [200, 200, 503]


async def test_a_batch_may_hang_in_the_database_until_its_time_limit() -> None:
    intake, relay = await in_group(), SimpleNamespace(dead=False)

    assert await live(intake, relay, later_s=2 * 60 + 30) == 200


async def test_a_worker_in_a_long_rebalance_is_live() -> None:
    intake = await in_group()
    intake._joined = False

    assert await live(intake, SimpleNamespace(dead=False), later_s=1000) == 200


async def test_a_worker_without_its_relay_or_its_intake_is_not_live() -> None:
    intake, relay = await in_group(), Relay(Settings(), None, owned=set)
    assert await live(intake, relay) == 200
    ended = asyncio.get_running_loop().create_future()
    ended.cancel()
    relay._running = ended
    assert await live(intake, relay) == 503
    relay._running, intake._running = None, {ended}
    assert await live(intake, relay) == 503


async def test_warnings_that_come_after_the_start_are_shown_and_make_no_worker_unready() -> None:
    intake, warnings = await in_group(), list[str]()
    app = create_health([intake], {"relay": Relay(Settings(), None, owned=set)}, Settings(), warnings=warnings)
    warnings.append("topic x has cleanup.policy=compact")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://worker") as client:
        answer = await client.get("/ready")

    assert (answer.status_code, answer.json()["warnings"]) == (200, ["topic x has cleanup.policy=compact"])
