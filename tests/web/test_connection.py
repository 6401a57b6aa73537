"""A client cannot take memory without limit, or hold a connection for long, and many clients cannot keep others out."""

import asyncio
import re
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from tests.callers import Issuer, api_settings, authorized
from tests.processes import eventually
from worker.demo.website import serve_app
from worker.settings import Settings
from worker.web import connection, middleware, server
from worker.web.api import stream
from worker.web.settings import ApiSettings

POST = (
    b"POST /api/progress/access HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
CHUNKED = b"POST /api/progress/access HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n"
LIVE = b"GET /live HTTP/1.1\r\nHost: api\r\n\r\n"
MUCH = 50_000_000  # more than a client can have sent before it is cut off: the rest is what systems buffer
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(autouse=True)
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[connection.Port]]:
    """Checks connections often, and gives the port that the test serves."""
    monkeypatch.setattr(connection, "CHECK_EVERY_S", 0.02)
    ports: list[connection.Port] = []

    def new_port(most: int) -> connection.Port:
        ports.append(connection.Port(most))
        return ports[-1]

    monkeypatch.setattr(server, "Port", new_port)
    return ports


@asynccontextmanager
async def served(app: FastAPI, issuer: Issuer, **changed: Any) -> AsyncIterator[tuple[str, int]]:
    async with serve_app(app, api_settings(Settings(), issuer, **changed)) as serving:
        host, port = serving.address.removeprefix("http://").split(":")
        async with asyncio.timeout(30):
            yield host, int(port)


@asynccontextmanager
async def opened(address: tuple[str, int]) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(*address)
    try:
        yield reader, writer
    finally:
        writer.close()


@asynccontextmanager
async def connected(app: FastAPI, issuer: Issuer) -> AsyncIterator[Streams]:
    async with served(app, issuer) as address, opened(address) as streams:
        yield streams


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """Reads one answer with a declared length, and returns its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    [length] = re.findall(b"content-length: ([0-9]+)", head)
    await reader.readexactly(int(length))
    return head


async def drip_until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, byte: bytes) -> None:
    with suppress(ConnectionError):
        while True:
            writer.write(byte)
            with suppress(TimeoutError):
                if not await asyncio.wait_for(reader.read(65536), 0.02):
                    return


async def send_until_closed(writer: asyncio.StreamWriter, piece: bytes) -> int:
    """Sends without end, or MUCH; returns how many bytes."""
    sent = 0
    with suppress(ConnectionError):
        while not writer.is_closing() and sent < MUCH:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
    return sent


def open_unread(address: tuple[str, int], request: bytes) -> socket.socket:
    """Asks, and reads nothing."""
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asking.connect(address)
    asking.sendall(request)
    return asking


def stream_request(token: str) -> bytes:
    return f"GET /api/progress/stream HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


async def write_much(*_: object) -> AsyncIterator[str]:
    """Stands for the events of a stream, as many as the client reads."""
    while True:
        yield "x" * 1_000_000
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("begun", "piece"),
    [
        (b"GET /live HTTP/1.1\r\n", b"X-Header: " + b"x" * 10_000 + b"\r\n"),
        (b"GET /live HTTP/1.1\r\nX: ", b"x" * 10_000),
        (b"GET /", b"x" * 10_000),
        (b"", b"\r\n" * 5_000),
        (CHUNKED + b"0\r\n", b"X-Trailer: " + b"x" * 10_000 + b"\r\n"),
        (CHUNKED + b"0\r\nX: ", b"x" * 10_000),
        (CHUNKED + b"1;x=", b"x" * 10_000),
        (CHUNKED, b"1\r\nx\r\n" * 2_000),
        (POST % 1_000_000_000, b"x" * 10_000),
    ],
    ids=["headers", "a header", "a path", "empty lines", "trailers", "a trailer", "an extension", "chunks", "a body"],
)
async def test_what_has_no_end_is_cut_off(nowhere: FastAPI, issuer: Issuer, begun: bytes, piece: bytes) -> None:
    async with connected(nowhere, issuer) as (_, writer):
        writer.write(begun)

        assert await send_until_closed(writer, piece) < MUCH


@pytest.mark.parametrize("sent", [b"", b"GET /live HT"], ids=["nothing", "a beginning"])
async def test_a_head_that_does_not_come_is_not_waited_for(
    nowhere: FastAPI, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connection, "HEAD_WITHIN_S", 0.1)
    async with connected(nowhere, issuer) as (reader, writer):
        writer.write(sent)

        assert await reader.read() == b""


@pytest.mark.parametrize(
    ("begun", "byte"),
    [
        (b"GET /live HTTP/1.1\r\nX: ", b"x"),
        (LIVE + b"GET /live HTTP/1.1\r\nX: ", b"x"),
        (LIVE, b"\r\n"),
        (POST % 1_000_000_000, b"x"),
        (CHUNKED + b"0\r\nX: ", b"x"),
        (CHUNKED + b"1;x=", b"x"),
    ],
    ids=["a head", "a second head", "empty lines", "a body", "a trailer", "an extension"],
)
async def test_what_comes_byte_by_byte_is_not_waited_for(
    nowhere: FastAPI, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, begun: bytes, byte: bytes
) -> None:
    monkeypatch.setattr(connection, "HEAD_WITHIN_S", 0.3)
    async with connected(nowhere, issuer) as (reader, writer):
        writer.write(begun)

        await drip_until_closed(reader, writer, byte)


async def test_a_body_that_does_not_come_is_not_waited_for(
    nowhere: FastAPI, issuer: Issuer, user: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "BODY_WITHIN_S", 0.1)
    authorization = f"\r\nAuthorization: Bearer {issuer.token(user)}\r\n\r\n".encode()
    async with connected(nowhere, issuer) as (reader, writer):
        writer.write((POST % 10).removesuffix(b"\r\n\r\n") + authorization + b"{")

        answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"urn:course-progress:problem:too-slow" in answer


async def test_a_large_body_and_many_requests_at_once_are_no_large_head(nowhere: FastAPI, issuer: Issuer) -> None:
    request = POST % 200_000 + b'{"a": "' + b"x" * 199_991 + b'"}'
    async with connected(nowhere, issuer) as (reader, writer):
        for _ in range(3):
            writer.write(request + POST % 2 + b"{}")
            for _ in range(2):
                assert (await read_answer(reader)).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("request_", "most"),
    [(b"GET /live HTTP/1.1\r\n" + b"a:b\r\n" * 1_000 + b"\r\n", 0), (LIVE * 1_000, 100)],
    ids=["headers", "requests"],
)
async def test_many_small_parts_in_one_read_are_refused(
    nowhere: FastAPI, issuer: Issuer, request_: bytes, most: int
) -> None:
    async with connected(nowhere, issuer) as (reader, writer):
        writer.write(request_)
        answers = b""
        with suppress(ConnectionError):
            answers = await reader.read()

    assert answers.count(b"HTTP/1.1 200 ") <= most


@pytest.mark.parametrize(
    "request_", [b"no request\r\n\r\n", LIVE.replace(b"Host", b"Connection: Upgrade\r\nUpgrade: websocket\r\nHost")]
)
async def test_a_stranger_writes_nothing_into_the_log(
    nowhere: FastAPI, issuer: Issuer, caplog: pytest.LogCaptureFixture, request_: bytes
) -> None:
    async with connected(nowhere, issuer) as (reader, writer):
        writer.write(request_)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 ")

    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


async def test_trailers_do_not_reach_the_app(nowhere: FastAPI, issuer: Issuer) -> None:
    heads: list[str] = []

    @nowhere.post("/names")
    async def note(request: Request) -> Response:
        await request.body()
        heads.append(" ".join(request.headers))
        return Response("")

    posted = b"POST /names HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Late: 1\r\n\r\n"
    async with connected(nowhere, issuer) as (reader, writer):
        for _ in range(2):
            writer.write(posted)
            assert (await read_answer(reader)).startswith(b"HTTP/1.1 200 ")

    assert heads == ["host transfer-encoding"] * 2


@pytest.mark.parametrize("size", [20_000_000, 100_000], ids=["in the process", "in the kernel"])
@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
async def test_an_answer_that_nobody_reads_is_not_kept_and_its_client_is_told(
    nowhere: FastAPI,
    issuer: Issuer,
    port: list[connection.Port],
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    more: bytes,
) -> None:
    monkeypatch.setattr(connection, "UNREAD_WITHIN_S", 0.3)
    monkeypatch.setattr(connection, "HEAD_WITHIN_S", 0.3)
    nowhere.add_api_route("/large", lambda: Response(b"x" * size))

    async def closed() -> bool:
        return not len(port[0])

    async with served(nowhere, issuer) as address:
        with open_unread(address, b"GET /large HTTP/1.1\r\nHost: api\r\n" + more + b"\r\n") as asking:
            await eventually(lambda: opened_once(port[0]))
            await eventually(closed)

            assert asking.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == bytes([7])  # TCP_CLOSE


async def opened_once(port: connection.Port) -> bool:
    return len(port) == 1


async def test_a_large_answer_that_is_read_slower_than_the_next_head_is_due_comes_whole(
    nowhere: FastAPI, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_WITHIN_S", 0.1)
    nowhere.add_api_route("/large", lambda: Response(b"x" * 20_000_000))
    async with served(nowhere, issuer) as address:
        with open_unread(address, LIVE.replace(b"/live", b"/large")) as asking:
            await asyncio.sleep(0.5)
            received = 0
            asking.setblocking(False)
            while part := await asyncio.get_running_loop().sock_recv(asking, 1_000_000):
                received += len(part)

    assert received > 20_000_000


async def test_a_stream_that_nobody_reads_ends_with_its_token(
    nowhere: FastAPI, issuer: Issuer, user: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "stream_events", write_much)
    monkeypatch.setattr(stream, "END_WITHIN_S", 0.1)

    async def is_open() -> bool:
        return nowhere.state.poller.streams == 1

    async def ended() -> bool:
        return nowhere.state.poller.streams == 0

    async with served(nowhere, issuer) as address:
        with open_unread(address, stream_request(issuer.token(user, exp=int(time.time()) + 2))):
            await eventually(is_open)
            await eventually(ended)


async def test_a_stream_ends_with_its_client_also_if_another_request_waits_behind_it(
    nowhere: FastAPI, issuer: Issuer, user: UUID
) -> None:
    async def ended() -> bool:
        return nowhere.state.poller.streams == 0

    async with served(nowhere, issuer) as address:
        async with opened(address) as (reader, writer):
            writer.write(stream_request(issuer.token(user)) + LIVE)
            await reader.readuntil(b"retry: ")
            writer.transport.abort()
        await eventually(ended)


async def test_the_longest_idle_stranger_makes_room_and_callers_keep_theirs(
    nowhere: FastAPI, issuer: Issuer, user: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_WITHIN_S", 1_000)
    async with served(nowhere, issuer, api_connections=3) as address, opened(address) as (events, writer):
        writer.write(stream_request(issuer.token(user)))
        await events.readuntil(b"retry: ")
        async with opened(address) as (longest, _), opened(address) as (other, _):
            async with httpx.AsyncClient(base_url=f"http://{address[0]}:{address[1]}") as client:
                assert (await client.get("/live")).status_code == 200

            with suppress(ConnectionResetError):
                assert await longest.read() == b""
            assert not other.at_eof()
            assert nowhere.state.poller.streams == 1


async def test_all_streams_together_leave_connections_for_others(nowhere: FastAPI, issuer: Issuer, user: UUID) -> None:
    nowhere.state.poller._most = 1
    async with served(nowhere, issuer) as address, opened(address) as (events, writer):
        writer.write(stream_request(issuer.token(user)))
        await events.readuntil(b"retry: ")
        async with opened(address) as (reader, other):
            other.write(stream_request(issuer.token(uuid4())))

            assert (await read_answer(reader)).startswith(b"HTTP/1.1 503 ")


async def test_a_flood_of_strangers_keeps_nobody_out(
    nowhere: FastAPI, issuer: Issuer, user: UUID, port: list[connection.Port]
) -> None:
    token = authorized(issuer.token(user))
    async with served(nowhere, issuer, api_connections=20) as address:
        held = [await asyncio.open_connection(*address) for _ in range(100)]
        for _, writer in held:
            writer.write(POST % 1_000 + b"{")
        async with httpx.AsyncClient(base_url=f"http://{address[0]}:{address[1]}") as client:
            statuses = [(await client.get(path, headers=token)).status_code for path in ("/live", "/api/unknown")]
        assert len(port[0]) <= 20
        for _, writer in held:
            writer.close()

    assert statuses == [200, 404]


async def test_a_server_that_stops_ends_an_answer_that_nobody_reads(
    nowhere: FastAPI, issuer: Issuer, user: UUID, port: list[connection.Port], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "stream_events", write_much)
    monkeypatch.setattr(server, "STOP_WITHIN_S", 1)
    async with served(nowhere, issuer) as address:
        asking = open_unread(address, stream_request(issuer.token(user)))
        await eventually(lambda: opened_once(port[0]))
    with asking:
        assert (len(port[0]), nowhere.state.poller.streams) == (0, 0)


@pytest.mark.parametrize(("files", "most"), [(256, 128), (1_000_000, 2048), (resource.RLIM_INFINITY, 2048)])
def test_the_most_connections_leave_files_for_the_rest(monkeypatch: pytest.MonkeyPatch, files: int, most: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))

    assert connection.choose_most_connections(ApiSettings()) == most
    assert connection.choose_most_connections(ApiSettings(api_connections=7)) == 7
