"""The worker's own port bounds its connections as the API's does."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.processes import eventually
from worker.settings import Settings
from worker.web import connection, port


@asynccontextmanager
async def served() -> AsyncIterator[tuple[str, int]]:
    """Serves `/live` as a worker does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address: tuple[str, int] = free.getsockname()
    health = Starlette(routes=[Route("/live", lambda _: PlainTextResponse("yes"))])
    faust = SimpleNamespace(web_server=lambda service: service)

    async def listens() -> bool:
        with socket.socket() as asking:
            return asking.connect_ex(address) == 0

    async with port.serve_health(faust, health, Settings(http_port=address[1]))():
        await eventually(listens)
        async with asyncio.timeout(30):
            yield address


@pytest.mark.parametrize("sent", [b"", b"GET /live HTTP/1.1\r\nX: "], ids=["nothing", "a beginning"])
async def test_a_head_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(connection, "HEAD_WITHIN_S", 0.1)
    monkeypatch.setattr(connection, "CHECK_EVERY_S", 0.02)
    async with served() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(sent)

        assert await reader.read() == b""
        writer.close()


async def test_a_flood_of_connections_keeps_no_probe_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "MOST_CONNECTIONS", 5)
    async with served() as address:
        held = [await asyncio.open_connection(*address) for _ in range(20)]
        async with httpx.AsyncClient(base_url=f"http://{address[0]}:{address[1]}") as client:
            answer = await client.get("/live")
        ended = 0
        for reader, writer in held:
            ended += reader.at_eof() or reader.exception() is not None
            writer.close()

    assert (answer.status_code, ended) == (200, 16)
