"""Stands between a worker and a server as their network: a TCP proxy that cuts, delays and swallows."""

import asyncio
from contextlib import suppress
from typing import Self

CHUNK = 65_536


class Proxy:
    """Forwards a port of loopback to another. An async context manager.

    It listens on `port`. `upstream` may change at any time and applies to new connections.
    """

    def __init__(self, port: int, upstream: int) -> None:
        self.port = port
        self.upstream = upstream
        self.delay_s = 0.0  # each way
        self.harmed = 0  # connections that were reset or went silent, and pieces of data that were delayed
        self._cut = False
        self._swallow_after: int | None = None  # bytes of responses that still pass
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._serving)

    def cut(self) -> None:
        """Resets every connection, and each new one, until `heal`."""
        self._cut = True
        self.harmed += len(self._open) // 2
        for writer in self._open:
            writer.transport.abort()

    def swallow(self, after_bytes: int) -> None:
        """Lets so many more bytes of responses through. Then no data passes, and neither side gets an error."""
        self._swallow_after = after_bytes

    def heal(self) -> None:
        """Lets new connections work again. Swallowed ones stay silent, as behind a firewall that forgot them."""
        self._cut, self._swallow_after, self.delay_s = False, None, 0.0

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            await self._serve(reader, writer)
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            return
        link = Link(self)
        self._open |= {writer, up_writer}
        try:
            both = [link.pump(reader, up_writer, response=False), link.pump(up_reader, writer, response=True)]
            with suppress(OSError):
                await asyncio.gather(*both)
        finally:
            self._open -= {writer, up_writer}
            up_writer.transport.abort()

    def swallows(self, size: int) -> bool:
        """Tells whether the proxy swallows a response of this size, and counts its bytes."""
        if self._swallow_after is None:
            return False
        self._swallow_after -= size
        return self._swallow_after < 0


class Link:
    """Pumps one connection through the proxy. Once swallowed it stays silent."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._silent = False

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, response: bool) -> None:
        while data := await reader.read(CHUNK):
            if self._proxy.delay_s:
                self._proxy.harmed += 1
                await asyncio.sleep(self._proxy.delay_s)
            if response and self._proxy.swallows(len(data)) and not self._silent:
                self._silent = True
                self._proxy.harmed += 1
                writer.write(data[: len(data) // 2])  # half-way through a response
            if not self._silent:
                writer.write(data)
                await writer.drain()
        if not self._silent:
            writer.close()
