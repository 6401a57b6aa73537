"""Limits the head of a request, because uvicorn accepts one of any size and waits for it without end."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 64 * 1024
HEAD_WITHIN_S = 10.0


class Connection(HttpToolsProtocol):
    """Closes when a head takes longer than HEAD_WITHIN_S, or is larger than LARGEST_HEAD, to within one read.

    A client needs no token to open connections and send little, or to send without end.
    """

    _timer: asyncio.TimerHandle | None = None  # runs while a head is incomplete
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head()

    def data_received(self, data: bytes) -> None:
        began = self._timer
        super().data_received(data)
        # A read that also holds the end of another head or body does not count: that may be nearly all of it.
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
