"""Compares certificates with completions now and then, for operators and for Prometheus."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import structlog

from worker.certificates.reconcile import Missing, Unfounded, find_age_of_lists, find_missing, find_unfounded
from worker.certificates.settings import CertificateSettings
from worker.errors import ProgressError
from worker.metrics.certificates import LIST_AGE, MISSING, UNFOUNDED
from worker.postgres.connection import with_time_limit
from worker.postgres.pool import connect_pool

log = structlog.get_logger("certificates")

MOST_FOUND = 1000  # of each kind
LOOK_EVERY_S = 600.0  # without a reader
FRESH_S = 60.0
LONGEST_S = 60.0
WAIT_S = 5.0
SHARE = 10  # looking takes at most a tenth of the time


@dataclass(frozen=True, slots=True)
class Compared:
    """Holds what was found at a time, at most MOST_FOUND of each. With a `problem` it could not be looked."""

    at: datetime
    missing: Sequence[Missing] = ()
    unfounded: Sequence[Unfounded] = ()
    problem: str | None = None


class Reconciliation:
    """Looks every LOOK_EVERY_S, and while somebody reads every FRESH_S, for all together. An async context manager.

    PostgreSQL may be away, also at the start: then the readers get its problem.
    """

    def __init__(self, settings: CertificateSettings) -> None:
        self._settings = settings
        self._asked = asyncio.Event()
        self._looked = asyncio.Event()
        self._latest = Compared(datetime.now(UTC), problem="the first comparison is under way")

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(with_time_limit(self._settings, LONGEST_S), max_size=1)
        self._task = asyncio.create_task(self._keep_looking(), name="reconciliation")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._pool.close()

    def latest(self) -> Compared:
        """Returns what was found last, and asks for news if that is older than FRESH_S."""
        self._asked.set()
        return self._latest

    async def read(self) -> Compared:
        """Returns the same, in a process that has just started after the first look, or with a problem after WAIT_S."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await self._looked.wait()
        return self.latest()

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._latest = await self._look()
            self._looked.set()
            await asyncio.sleep(max(FRESH_S, SHARE * (loop.time() - began)))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S - FRESH_S):
                    await self._asked.wait()
            self._asked.clear()

    async def _look(self) -> Compared:
        at = datetime.now(UTC)
        try:
            missing = await find_missing(self._pool, self._settings, MOST_FOUND)
            unfounded = await find_unfounded(self._pool, MOST_FOUND)
            age_s = await find_age_of_lists(self._pool)
        except ProgressError as error:
            for gauge in (MISSING, UNFOUNDED, LIST_AGE):
                gauge.set(math.nan)  # not known: the last figures could be wrong by now
            log.warning("certificates are not compared with completions", reason=str(error))
            return Compared(at, problem=str(error))
        MISSING.set(len(missing))
        UNFOUNDED.set(len(unfounded))
        LIST_AGE.set(age_s)
        return Compared(at, missing, unfounded)
