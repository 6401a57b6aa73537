"""Bounds what a connection costs before anyone has proved who they are: time, bytes, and how many there are."""

import asyncio
import fcntl
import logging
import math
import resource
import socket
import struct
import termios
from collections import OrderedDict
from typing import Any, cast

import structlog
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from worker.web.settings import ApiSettings

log = structlog.get_logger("http")
# uvicorn warns of each request that is malformed or asks for another protocol: a stranger could fill the disk.
FAILURES = logging.getLogger("uvicorn.failures")
FAILURES.setLevel(logging.ERROR)

HEAD_WITHIN_S = 10.0
UNREAD_WITHIN_S = 60.0
SHARE_OF_STOP = 0.8  # the rest is for what then ends in the app
CHECK_EVERY_S = 1.0
LARGEST_HEAD = 64 * 1024
LARGEST_REST = 1024 * 1024
MOST_HEADERS = 200
MOST_WAITING = 16
MOST_CONNECTIONS = 2048
WARN_EVERY_S = 60.0
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, and keep nothing
# Keys in a request's scope, by which the app tells its connection what only the app knows.
CALLER = "caller"  # whom the request's valid token is about
ENDS_AT = "ends_at"  # when the answer ends at the latest, in the loop's time


class Transport:
    """Closes a connection in two steps: the client is told at once, and the socket goes when all is read.

    After a plain close the kernel would keep what the client has not read, for minutes and out of our sight. This has
    of asyncio's transport what uvicorn uses.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_told = False
        self.write = transport.write
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def is_closing(self) -> bool:
        return self._is_told or self._transport.is_closing()

    def count_unread(self) -> int:
        """Returns how many bytes wait in this process, and while it closes in the kernel too."""
        unread = self._transport.get_write_buffer_size()
        if self._is_told and not unread and not self._transport.is_closing():
            descriptor = self.get_extra_info("socket").fileno()
            [unread] = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))
        return unread

    def close(self) -> None:
        self._is_told = True
        if self._transport.is_closing():
            return
        if self.count_unread():
            self._transport.write_eof()
        else:
            self._transport.close()

    def abort(self) -> None:
        """Closes at once, without what the client has not read."""
        self.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()


class Connection(HttpToolsProtocol):
    """Ends when its client is late, sends too much, or does not read. In every phase something is due:

    | phase | it ends |
    |---|---|
    | no complete head yet | HEAD_WITHIN_S after it began |
    | after an answer: the rest of a body, silence, the next head | HEAD_WITHIN_S after the answer, LARGEST_REST bytes |
    | the app reads a body | BODY_WITHIN_S after the head (middleware.py) |
    | the app makes an answer | by the time limit of each server that the app asks |
    | a live stream | with its token, by itself, or at ENDS_AT where nobody reads |
    | further requests wait for that | with it; MOST_WAITING wait, and reading pauses |
    | an answer, complete or not, is not read | UNREAD_WITHIN_S after the write buffer was last empty |
    | it closes, and the kernel still has what is not read | as in the phase before |
    | the server stops | at once, or with a request in progress after SHARE_OF_STOP of the server's time |

    Whatever a request has beside its body (head, trailers, sizes and extensions of chunks) has at most LARGEST_HEAD
    bytes, to within one read, and MOST_HEADERS headers. Trailers never reach the app. No request changes the protocol.
    uvicorn's own timer also ends it after 5 s without a byte behind an answer.
    """

    transport: Transport  # type: ignore[assignment]

    def __init__(self, port: "Port", **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self.logger = FAILURES
        self._port = port
        self._answering: RequestResponseCycle | None = None  # uvicorn's own `cycle` may be one that waits
        self._due = self._read_at = self.loop.time()
        self._stop_at = math.inf
        self._beside_body = self._rest = 0
        self.headers = []

    @property
    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    @property
    def _ends_at(self) -> float:
        if self._answering is None or self._answering.response_complete:
            return math.inf
        return cast(dict[str, float], self._answering.scope).get(ENDS_AT, math.inf)

    @property
    def is_owed(self) -> bool:
        """Tells whether a caller with a valid token has sent a whole request, and waits for its answer."""
        cycle = self._answering
        return cycle is not None and not cycle.response_complete and not cycle.more_body and CALLER in cycle.scope

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Transport(transport))  # type: ignore[arg-type]
        self._read_at = self.loop.time()
        self._due = self._read_at + HEAD_WITHIN_S
        self._port.add(self)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            self._rest += len(data)  # a client that still sends can read its answer first
        else:
            self._beside_body += len(data)
            super().data_received(data)
            if self._beside_body > LARGEST_HEAD or len(self.headers) > MOST_HEADERS:
                self.send_400_response("The request is too large beside its body.")
        if self._rest > LARGEST_REST:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._beside_body = self._rest = 0

    def on_headers_complete(self) -> None:
        if len(self.headers) > MOST_HEADERS or len(self.pipeline) >= MOST_WAITING:
            raise ValueError("too many headers, or requests at once")  # the parser stops, and uvicorn answers 400
        super().on_headers_complete()
        self._due = math.inf
        self.headers = []  # takes the trailers: the scope keeps the list of before

    def on_body(self, body: bytes) -> None:
        self._beside_body -= len(body)
        if self.cycle.response_complete:
            self._rest += len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        answered = self._answering
        super().on_response_complete()
        if answered is not None and answered is self._answering:  # otherwise the next one has been started
            answered.body.clear()
            self._due = self.loop.time() + HEAD_WITHIN_S
            if CALLER in answered.scope:
                self._port.refresh(self)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        if self._is_answering:
            return None  # closes: the app is told
        self.transport.close()
        return True

    def send_400_response(self, msg: str) -> None:
        """Refuses what has come, and closes. While an answer is being sent no other can follow it, so it breaks off."""
        if self._is_answering:
            self.transport.abort()
        elif not self.transport.is_closing():
            super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        self._port.discard(self)
        self.pipeline.clear()
        super().connection_lost(exc)
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def shutdown(self) -> None:
        super().shutdown()
        if self.config.timeout_graceful_shutdown is not None:
            self._stop_at = self.loop.time() + SHARE_OF_STOP * self.config.timeout_graceful_shutdown

    def check(self, now: float) -> None:
        """Ends the connection if something that was due has not come."""
        if not self.transport.count_unread():
            self._read_at = now
            if self.transport.is_closing():
                self.transport.close()
        if now > min(self._read_at + UNREAD_WITHIN_S, self._stop_at, self._ends_at):
            self.transport.abort()
        elif now > self._due:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _should_upgrade(self) -> bool:
        return False


class Port:
    """Holds the open connections of one listening port, `most` at once, and checks each every CHECK_EVERY_S.

    A further one takes the place of the one that has waited longest since it began, or since its last answer to a
    caller with a valid token. A connection that owes such a caller an answer, as live streams do, keeps its place.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: OrderedDict[Connection, None] = OrderedDict()  # the one that has waited longest comes first
        self._checks: asyncio.TimerHandle | None = None
        self._warned_at = -math.inf

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        self._open[connection] = None
        if self._checks is None:
            self._checks = connection.loop.call_later(CHECK_EVERY_S, self._check, connection.loop)
        if len(self._open) > self._most:
            self._make_room(connection.loop.time())

    def refresh(self, connection: Connection) -> None:
        """Has the connection wait from now on."""
        if connection in self._open:
            self._open.move_to_end(connection)

    def discard(self, connection: Connection) -> None:
        self._open.pop(connection, None)

    def _make_room(self, now: float) -> None:
        while (longest := next(iter(self._open))).is_owed:  # the newest one, which is in here, is owed nothing
            self._open.move_to_end(longest)
        self.discard(longest)
        longest.transport.abort()
        if now > self._warned_at + WARN_EVERY_S:
            self._warned_at = now
            log.warning("too many connections: those that wait longest are closed", most=self._most)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        self._checks = loop.call_later(CHECK_EVERY_S, self._check, loop) if self._open else None
        for connection in list(self._open):
            connection.check(loop.time())


def choose_most_connections(settings: ApiSettings) -> int:
    """Returns what is set, or half of the files that this process may open, at most MOST_CONNECTIONS.

    The other half is for PostgreSQL, Kafka, and connections that are accepted before others have made room.
    """
    if settings.api_connections is not None:
        return settings.api_connections
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(files // 2, MOST_CONNECTIONS))
