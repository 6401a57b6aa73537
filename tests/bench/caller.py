"""HTTP/1.1 for next to nothing of the processor: aiohttp's client took a sixth of all cores at 200 calls/s."""

import asyncio
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

KEPT_S = 2  # uvicorn closes a connection that was idle for five
WITHIN_S = 30

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Caller:
    """Calls one server, over as many connections as there are calls at a time, the last used first."""

    def __init__(self, address: str) -> None:
        self._host, self._port = urlsplit(address).hostname, urlsplit(address).port
        self._idle: list[tuple[float, Connection]] = []

    async def status(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> int:
        """Of the answer, when all of it is there. It must say its length. Raises TimeoutError after WITHIN_S."""
        lines = (f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": len(body)}.items())
        request = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{''.join(lines)}\r\n".encode() + body
        async with asyncio.timeout(WITHIN_S):
            connection = await self._connected()
            try:
                status = await _answered(connection, request)
            except BaseException:
                connection[1].close()
                raise
        self._idle.append((time.monotonic(), connection))
        return status

    async def _connected(self) -> Connection:
        while self._idle:
            since, connection = self._idle.pop()
            if time.monotonic() - since < KEPT_S:
                return connection
            connection[1].close()
        return await asyncio.open_connection(self._host, self._port)

    def close(self) -> None:
        for _, (_, writer) in self._idle:
            writer.close()


async def _answered(connection: Connection, request: bytes) -> int:
    reader, writer = connection
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    return int(head.split(b" ", 2)[1])
