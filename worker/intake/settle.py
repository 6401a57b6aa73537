"""Sees a batch through: hands it over until it is applied, is another worker's, or cannot be applied at all."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable

import structlog
from aiokafka import TopicPartition

from worker.errors import BreakerOpen, Bug, ProgressError, SetupError, TookTooLong, Unavailable, ValueRefused
from worker.metrics import prometheus as metrics
from worker.stream.batch import Batch
from worker.stream.sink import Applied, OffsetsMoved

log = structlog.get_logger("intake")

LONGEST_BACKOFF_S = 5.0


class Settler:
    """Decides what the result of a batch, or its error, means.

    - Applied: the batch is settled.
    - OffsetsMoved: these partitions are read again from the stored offset, if they are still the lane's; the rest of
      the batch is handed over again.
    - Unavailable: the batch is handed over again after a back-off; one that takes too long when it is repeated is
      bisected.
    - ValueRefused: the batch is bisected, until a single record is refused, which becomes a dead letter.
    - BreakerOpen: the batch is dropped, because nothing of it may be written. Its lane reads it again after a restart.
    - Any other error: the worker stops, with a line that names the offsets.
    """

    def __init__(
        self,
        hand_over: Callable[[Batch], Awaitable[Applied | OffsetsMoved]],
        reread: Callable[[Iterable[TopicPartition]], None],
        wait: Callable[[float], Awaitable[None]],
        stopping: asyncio.Event,
    ) -> None:
        """`wait` takes seconds and keeps the member in its group; once `stopping` is set nothing is repeated."""
        self._hand_over = hand_over
        self._reread = reread
        self._wait = wait
        self._stopping = stopping
        self.waiting: str | None = None  # why something is repeated

    async def settle(self, batch: Batch) -> None:
        """Returns when the batch is applied, is another worker's, or is left to the next worker because this one stops.

        Raises BreakerOpen; SetupError or Bug for an error that no repetition mends.
        """
        attempt = 0
        while batch.spans:
            try:
                result = await self._hand_over(batch)
            except Unavailable as error:
                if self._stopping.is_set():
                    return  # not applied, so not committed: the next worker reads it
                attempt += 1
                await self.back_off(error, attempt)
                if isinstance(error, TookTooLong) and attempt > 1 and len(batch.entries) > 1:
                    await self._settle_halves(batch, error)
                    return
            except ValueRefused as error:
                if not batch.occurrences:  # no event contributed a value to the statement
                    raise stop_reason(error, batch) from error
                await self._settle_halves(batch, error)
                return
            except BreakerOpen:
                raise
            except Exception as error:
                raise stop_reason(error, batch) from error
            else:
                if isinstance(result, Applied):
                    self.end_wait()
                    return
                batch = self._drop_moved(batch, result)

    async def back_off(self, error: Unavailable, attempt: int) -> None:
        """Waits before a repetition, up to LONGEST_BACKOFF_S; logs only the first time."""
        if self.waiting is None:
            log.warning("waiting before the next attempt", error=str(error))
        self.waiting = str(error)
        metrics.RETRIES.labels(type(error).__name__).inc()
        await self._wait(min(LONGEST_BACKOFF_S, 0.05 * 2 ** min(attempt, 10)) * random.uniform(0.5, 1))

    def end_wait(self) -> None:
        """Notes that what was repeated has succeeded."""
        if self.waiting:
            log.info("the next attempt succeeded")
        self.waiting = None

    async def _settle_halves(self, batch: Batch, error: Exception) -> None:
        for half in batch.bisect(str(error)):
            await self.settle(half)

    def _drop_moved(self, batch: Batch, moved: OffsetsMoved) -> Batch:
        """Returns the rest of a batch: the offsets of some partitions were moved, mostly by another worker."""
        log.info("the stored offsets have moved", partitions=sorted(tp.partition for tp in moved.found))
        metrics.OFFSETS_MOVED.inc(len(moved.found))
        self._reread(moved.found)
        return batch.without(moved.found)


def stop_reason(error: Exception, batch: Batch) -> ProgressError:
    """Makes the error with which the worker stops: why, which offsets, what to do. Logs the traceback of a bug."""
    where = f"while applying {batch.where}: nothing of it was applied"
    if isinstance(error, SetupError):
        return SetupError(f"{error} ({where})")
    if isinstance(error, ValueRefused):
        return SetupError(
            f"the database refuses a value that no event has caused: {error}. Compare its constraints and triggers "
            f"with sql/ ({where})"
        )
    log.error("a batch cannot be applied", exc_info=error)
    return Bug(
        f"{type(error).__name__}: {error} ({where}). This is a bug in the worker: report it with the traceback above. "
        "A restart repeats the batch"
    )
