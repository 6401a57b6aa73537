"""A client cannot take memory without limit, or hold a connection for long."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import pytest
from fastapi import FastAPI

from tests.callers import Issuer, api_settings
from worker.demo.website import serve_app
from worker.settings import Settings
from worker.web import connection, middleware

POST = (
    b"POST /api/progress/access HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(app: FastAPI, issuer: Issuer) -> AsyncIterator[Streams]:
    async with serve_app(app, api_settings(Settings(), issuer)) as serving:
        host, port = serving.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            async with asyncio.timeout(20):
                yield reader, writer
        finally:
            writer.close()


async def test_a_head_without_an_end_is_cut_off(nowhere: FastAPI, issuer: Issuer) -> None:
    sent = 0
    async with connected(nowhere, issuer) as (_, writer):
        writer.write(b"GET /live HTTP/1.1\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"X-Header: " + b"x" * 10_000 + b"\r\n")
                await writer.drain()
                sent += 10_000

    assert sent < 50_000_000  # the rest is what systems buffer


@pytest.mark.parametrize("sent", [b"", b"GET /live HT"], ids=["nothing", "a beginning"])
async def test_a_head_that_does_not_come_is_not_waited_for(
    nowhere: FastAPI, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connection, "HEAD_WITHIN_S", 0.1)
    async with connected(nowhere, issuer) as (reader, writer):
        writer.write(sent)

        assert await reader.read() == b""


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
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 401 ")
                [length] = re.findall(b"content-length: ([0-9]+)", head)
                await reader.readexactly(int(length))
