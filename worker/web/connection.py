"""A client's connection. uvicorn's own takes a request's head of any size, and waits for it for ever."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 64 * 1024
HEAD_WITHIN_S = 10.0


class Connection(HttpToolsProtocol):
    """Ends when a head is larger than LARGEST_HEAD, give or take what is read at once, or takes longer than
    HEAD_WITHIN_S: whoever opens connections and sends little, or sends without end, need not have a token."""

    _timer: asyncio.TimerHandle | None = None  # while a head is not complete
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head()

    def data_received(self, data: bytes) -> None:
        began = self._timer
        super().data_received(data)
        # What came with the end of another head or a body is not counted: it may be nearly all of the data.
        self._head = self._head + len(data) if began is not None and self._timer is began else 0
        if self._head > LARGEST_HEAD:
            self.send_400_response("The request's head is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._start_head()

    def on_headers_complete(self) -> None:
        self._finish_head()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish_head()
        super().connection_lost(exc)

    def _start_head(self) -> None:
        self._finish_head()
        self._timer = self.loop.call_later(HEAD_WITHIN_S, self.transport.close)

    def _finish_head(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
