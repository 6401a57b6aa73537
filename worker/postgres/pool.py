"""Shares connections among readers, in the order in which they ask."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg

from worker.postgres.connection import CLOSE_WITHIN_S, CONNECT_WITHIN_S, connect_arguments, open_connection
from worker.postgres.failures import translate_errors
from worker.settings import Settings

GIVE_BACK_WITHIN_S = 1


class Pool:
    """Gives connections to callers in the order in which they ask.

    asyncpg's pool waits on an asyncio.Queue. It gives a free connection to a caller that asks at that moment, and sends
    the caller that it had woken back to the end. With all connections in use, some callers wait for seconds and others
    not at all.
    """

    def __init__(self, connections: asyncpg.Pool) -> None:
        self._connections = connections
        self._turns = asyncio.Semaphore(connections.get_max_size())

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Returns the rows. Raises what `translate_errors` does.

        A cancelled caller is free within GIVE_BACK_WITHIN_S, also when the server does not answer. asyncpg's own fetch
        would wait until the server has confirmed that the statement is cancelled.
        """
        with translate_errors():
            async with asyncio.timeout(CONNECT_WITHIN_S) as limit, self._turns:
                connection = await self._connections.acquire()
                limit.reschedule(None)
                try:
                    rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
                    return rows
                finally:
                    with suppress(TimeoutError):  # asyncpg has then terminated it
                        await self._connections.release(connection, timeout=GIVE_BACK_WITHIN_S)

    async def close(self) -> None:
        """Closes all connections within CLOSE_WITHIN_S, also when the server does not answer."""
        with suppress(TimeoutError):  # asyncpg has then terminated them
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._connections.close()

    def terminate(self) -> None:
        """Closes all connections at once, also those that run a statement."""
        self._connections.terminate()


async def connect_pool(settings: Settings, *, max_size: int = 10) -> Pool:
    """Returns a pool that opens its first connection at the first query: errors of connecting are raised there."""
    connections = await asyncpg.create_pool(
        **connect_arguments(settings, {"jit": "off"}),
        connect=open_connection,
        reset=_skip_reset,
        min_size=0,
        max_size=max_size,
    )
    return Pool(connections)


async def _skip_reset(connection: asyncpg.Connection) -> None:
    """Skips asyncpg's reset, a round trip after every query, because readers leave nothing behind in a session."""
