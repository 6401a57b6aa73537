"""Limits how often a learner, or a visitor without a token, may call. Each process counts by itself."""

import hashlib
import secrets
import threading
import time
from ipaddress import ip_address
from typing import Literal
from uuid import UUID

import limits
from fastapi import Request
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from worker.errors import SetupError
from worker.web.auth import CallerDep
from worker.web.problems import build_retry_problem
from worker.web.settings import ApiSettings

SWEEP_EVERY_S = 10
CallKind = Literal["reads", "writes", "batches", "public"]
COUNTERS = 32_768  # of visitors: those who share one by chance share its rate
SECRET = secrets.token_bytes(16)  # so that nobody can choose whose counter to fill


class SweepTimer(threading.Timer):
    """Calls its function after every interval, until the process ends."""

    def run(self) -> None:
        while not self.finished.wait(self.interval):
            self.function()


class RateLimits:
    """Counts calls in constant memory per learner; approximate where two windows meet."""

    def __init__(self, settings: ApiSettings) -> None:
        # The asynchronous storage walks through all keys at every hit: docs/decisions/0018.
        self.storage = MemoryStorage()
        # This one does so in a thread of its own, and would start a new thread every 10 ms while calls come.
        self.storage.timer.cancel()
        self.storage.timer = SweepTimer(SWEEP_EVERY_S, self.storage.timer.function)
        self.storage.timer.daemon = True
        self.storage.timer.start()
        self._limiter = SlidingWindowCounterRateLimiter(self.storage)
        self._limits: dict[CallKind, limits.RateLimitItem] = {
            "reads": _parse("PROGRESS_RATE_LIMIT_READS", settings.rate_limit_reads),
            "writes": _parse("PROGRESS_RATE_LIMIT_WRITES", settings.rate_limit_writes),
            "batches": _parse("PROGRESS_RATE_LIMIT_BATCHES", settings.rate_limit_batches),
            "public": _parse("PROGRESS_RATE_LIMIT_PUBLIC", settings.rate_limit_public),
        }

    def hit(self, kind: CallKind, who: UUID | str) -> None:
        """Counts a call. Raises a problem, 429, when it is one too many."""
        limit = self._limits[kind]
        if not self._limiter.hit(limit, kind, str(who)):
            free_at = self._limiter.get_window_stats(limit, kind, str(who)).reset_time
            raise build_retry_problem(429, f"the limit for {kind} is {limit}", free_at - time.time())


def _parse(variable: str, text: str) -> limits.RateLimitItem:
    try:
        return limits.parse(text)
    except ValueError:
        raise SetupError(f"{variable} is not a rate such as 120/minute") from None


async def count_call(request: Request, caller: CallerDep) -> None:
    """Counts the call: a dependency of routes that read. Routes with a body count earlier (api/body_guard.py)."""
    limits_of_all: RateLimits = request.app.state.limits
    limits_of_all.hit("reads", caller.user_id)


async def count_write(request: Request, caller: CallerDep) -> None:
    """Counts the call: a dependency of routes that write and have no body."""
    limits_of_all: RateLimits = request.app.state.limits
    limits_of_all.hit("writes", caller.user_id)


async def count_visit(request: Request) -> None:
    """Counts the call by the visitor's address: a dependency of routes that need no token."""
    limits_of_all: RateLimits = request.app.state.limits
    limits_of_all.hit("public", choose_counter(request.client.host if request.client else ""))


def choose_counter(address: str) -> str:
    """Returns which of COUNTERS counts for an address, so that any number of addresses takes constant memory.

    A household or a server has a whole /64 of IPv6, which therefore counts as one address.
    """
    try:
        ip = ip_address(address)
        network = ip.packed if ip.version == 4 else ip.packed[:8]
    except ValueError:  # a socket of the file system has none
        network = b""
    return str(int.from_bytes(hashlib.blake2s(network, key=SECRET).digest()[:8]) % COUNTERS)
