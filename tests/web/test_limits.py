"""The counters of calls start no threads, and are removed when they are old."""

import threading
from uuid import uuid4

import pytest

from tests.processes import eventually
from worker.web import limits
from worker.web.limits import RateLimits
from worker.web.settings import ApiSettings


def test_counting_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = RateLimits(ApiSettings())
    started: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", started.append)
    for _ in range(1_000):
        counters.hit("reads", uuid4())

    assert started == []


async def test_counters_without_calls_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SWEEP_EVERY_S", 0.1)
    counters = RateLimits(ApiSettings(rate_limit_reads="5/second"))
    for _ in range(1_000):
        counters.hit("reads", uuid4())

    async def forgotten() -> bool:
        return not counters.storage.storage

    assert counters.storage.storage
    await eventually(forgotten)
