"""Lets tests wait for what a snapshot will show."""

from collections.abc import Awaitable, Callable

from worker.operations.snapshot import Snapshot
from worker.operations.watch import Operations


def until(operations: Operations, holds: Callable[[Snapshot], bool]) -> Callable[[], Awaitable[bool]]:
    """Makes a condition for `eventually`: that the newest snapshot is so."""

    async def it_holds() -> bool:
        return holds(await operations.snapshot())

    return it_holds
