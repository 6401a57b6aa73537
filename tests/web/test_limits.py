"""The counters of calls start no threads, and are removed when they are old."""

import threading
from uuid import uuid4

import pytest

from tests.processes import eventually
from worker.web import limits
from worker.web.limits import COUNTERS, RateLimits, choose_counter
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


def test_any_number_of_addresses_takes_constant_memory() -> None:
    assert len({choose_counter(f"2001:db8:{n:x}::1") for n in range(40_000)}) <= COUNTERS < 40_000


def test_a_whole_network_of_ipv6_counts_as_one_address() -> None:
    assert choose_counter("2001:db8::1") == choose_counter("2001:db8::ffff:1")
    assert len({choose_counter(f"192.0.2.{n}") for n in range(250)}) > 200


def test_whoever_has_no_address_is_counted_too() -> None:
    assert choose_counter("") == choose_counter("a socket")
