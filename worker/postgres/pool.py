"""Connections that readers share."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg

from worker.postgres.connection import CLOSE_WITHIN_S, CONNECT_WITHIN_S, connect_arguments, open_connection
from worker.postgres.failures import translate_errors
from worker.settings import Settings

GIVE_BACK_WITHIN_S = 1


class Pool:
    """Whoever asks first has a connection first.

    asyncpg's own queue gives a free one to whoever asks at that moment, and sends back to its end whom it had woken for
    it (asyncio.Queue). Where all are in use, some wait for seconds while others do not wait.
    """

    def __init__(self, connections: asyncpg.Pool) -> None:
        self._connections = connections
        self._turns = asyncio.Semaphore(connections.get_max_size())

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Returns the rows. Raises what `translate_errors` does.

        A caller that gives up waiting is free within GIVE_BACK_WITHIN_S, also when nobody is at the other end.

        asyncpg's own has a connection back only when the server has confirmed that the statement is cancelled.
        """
        with translate_errors():
            async with asyncio.timeout(CONNECT_WITHIN_S) as limit, self._turns:
                connection = await self._connections.acquire()
                limit.reschedule(None)
                try:
                    rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
                    return rows
                finally:
                    with suppress(TimeoutError):  # then it is terminated
                        await self._connections.release(connection, timeout=GIVE_BACK_WITHIN_S)

    async def close(self) -> None:
        """Also when nobody is at the other end."""
        with suppress(TimeoutError):  # then they are terminated
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._connections.close()

    def terminate(self) -> None:
        """Closes its connections at once, whatever they do."""
        self._connections.terminate()


async def connect_pool(settings: Settings, *, max_size: int = 10) -> Pool:
    """The first connection is opened at the first query, and errors come then."""
    connections = await asyncpg.create_pool(
        **connect_arguments(settings, {"jit": "off"}),
        connect=open_connection,
        reset=_nothing_to_reset,
        min_size=0,
        max_size=max_size,
    )
    return Pool(connections)


async def _nothing_to_reset(connection: asyncpg.Connection) -> None:
    """Readers leave nothing behind in a session; asyncpg's own reset is a round trip after every query."""
