"""Attacks a running API, or a worker's port, as strangers and one learner would. Each goes on until it is cancelled.

python -m tests.attacks hold_connections TARGET
"""

import asyncio
import itertools
import json
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Self, TypeAlias
from uuid import UUID, uuid4

from tests.callers import Issuer, authorized

HELD = 40  # connections of each kind, at a time
DRIP_EVERY_S = 0.5
CALLERS = 4  # at a time, of an attack that asks and reads the answers
BATCH = 500  # events
HOST = b" HTTP/1.1\r\nHost: api\r\n"
CHUNKED = b"POST /api/progress/access" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Target:
    """Names what is attacked, and counts what becomes of it."""

    host: str
    port: int
    token: str  # a right one, of the learner who attacks
    forged: list[str]  # tokens that no API may take
    courses: list[str]  # of that learner
    seen: Counter[str] = field(default_factory=Counter)  # connections that were ended, answers by their status

    @classmethod
    def of(cls, address: tuple[str, int], issuer: Issuer, learner: UUID, courses: Sequence[UUID]) -> Self:
        token = issuer.token(learner, exp=int(time.time()) + 3600)
        return cls(*address, token, forge_tokens(issuer, learner), list(map(str, courses)))


def forge_tokens(issuer: Issuer, learner: UUID) -> list[str]:
    """Returns tokens that no API may take."""
    now = int(time.time())
    head, claims, signature = issuer.token(learner).split(".")
    return [
        issuer.token(learner, alg="HS256", key="x" * 64),
        issuer.token(learner, exp=now - 3600),
        issuer.token(learner, nbf=now + 3600),
        issuer.token(learner, iss="https://other.example"),
        issuer.token(learner, aud="other"),
        issuer.token("no-uuid"),
        issuer.token(learner, sub=None),
        f"{head}.{claims}.",
        f"{head}.{claims}.{signature[:-8]}AAAAAAAA",
        f"eyJhbGciOiJub25lIn0.{claims}.",
        "." * 5_000,
        "x" * 60_000,
    ]


Attack: TypeAlias = Callable[[Target], Awaitable[None]]

# What each kind of connection sends at first, and then every DRIP_EVERY_S. It reads no answer.
SLOW: list[tuple[bytes, bytes]] = [
    (b"", b""),
    (b"GET /live HTT", b""),
    (b"GET /live" + HOST + b"X: ", b"x"),
    (b"POST /api/progress/access" + HOST + b"Content-Length: 1000000000\r\n\r\n", b"x" * 100),
    (CHUNKED + b"0\r\n", b"X-Trailer: " + b"x" * 10_000 + b"\r\n"),
    (CHUNKED + b"1;x=", b"x" * 10_000),
    (b"GET /live" + HOST + b"\r\n", b"\r\n"),
]
# Requests that two readers can understand differently, or that no reader should take.
ODD: list[bytes] = [
    b"POST /api/progress/access" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
    b"POST /api/progress/access" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
    b"POST /api/progress/access" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    CHUNKED + b"-1\r\n",
    CHUNKED + b"ffffffffffffffffff\r\n",
    b"GET /" + b"x" * 100_000 + HOST + b"\r\n",
    b"GET /live" + HOST + b"a:b\r\n" * 10_000 + b"\r\n",
    b"GET /live" + HOST + b"\r\n" * 10_000,
    b"\x16\x03\x01\x02\x00" * 100,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /api/progress/%00%ff..%2f..%2f" + HOST + b"\r\n",
]


async def hold_connections(target: Target) -> None:
    """Holds connections that say little or nothing, and opens others when they are ended."""
    async with asyncio.TaskGroup() as attackers:
        for (begun, drip), _ in itertools.product(SLOW, range(HELD)):
            attackers.create_task(_hold_one(target, begun, drip))


async def _hold_one(target: Target, begun: bytes, drip: bytes) -> None:
    while True:
        with suppress(ConnectionError):
            reader, writer = await asyncio.open_connection(target.host, target.port)
            try:
                writer.write(begun)
                await _drip_until_ended(reader, writer, drip)
                target.seen["ended"] += 1
            finally:
                writer.transport.abort()
        await asyncio.sleep(0.1)


async def _drip_until_ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, drip: bytes) -> None:
    with suppress(ConnectionError):
        while True:
            writer.write(drip)
            with suppress(TimeoutError):
                async with asyncio.timeout(DRIP_EVERY_S):
                    if not await reader.read(65_536):
                        return


async def leave_answers_unread(target: Target) -> None:
    """Asks for the learner's largest answers and for live streams, and reads none of them."""
    asked = [b"/", b"/api/progress", f"/api/progress/{target.courses[0]}".encode(), b"/api/progress/stream"]
    authorization = f"Authorization: Bearer {target.token}\r\n".encode()
    async with asyncio.TaskGroup() as attackers:
        for path, _ in itertools.product(asked, range(HELD)):
            attackers.create_task(_ask_unread(target, b"GET " + path + HOST + authorization + b"\r\n"))


async def _ask_unread(target: Target, request: bytes) -> None:
    loop = asyncio.get_running_loop()
    while True:
        with socket.socket() as asking, suppress(ConnectionError):
            asking.setblocking(False)
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(asking, (target.host, target.port))
            await loop.sock_sendall(asking, request * 3)
            target.seen["unread"] += 1
            await asyncio.sleep(5)
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def send_odd_requests(target: Target) -> None:
    """Sends requests that smuggle another, have no end, or are no HTTP; and tokens that are not the issuer's."""
    async with asyncio.TaskGroup() as attackers:
        for _ in range(CALLERS):
            attackers.create_task(_send_each_odd(target))


async def _send_each_odd(target: Target) -> None:
    requests = [*ODD, *(_request(target, forged=token) for token in target.forged)]
    for request in itertools.cycle(requests):
        with suppress(ConnectionError):
            await ask(target, request)


async def read_much(target: Target) -> None:
    """Has a learner with very many lessons read the largest answers, one after the other."""
    paths = ["/", "/api/progress", "/api/progress/stats", *(f"/api/progress/{course}" for course in target.courses[:5])]
    async with asyncio.TaskGroup() as attackers:
        for _ in range(CALLERS):
            attackers.create_task(_read_each(target, paths))


async def _read_each(target: Target, paths: list[str]) -> None:
    for path in itertools.cycle(paths):
        with suppress(ConnectionError):
            await ask(target, _request(target, path=path))


async def invent_lessons(target: Target) -> None:
    """Has a learner complete lessons that do not exist, until there is no room for more."""
    async with asyncio.TaskGroup() as attackers:
        for _ in range(CALLERS):
            attackers.create_task(_invent(target))


async def _invent(target: Target) -> None:
    course = uuid4()
    for number in itertools.count():
        events = [_invent_event(course, f"{number}-{i}") for i in range(BATCH)]
        with suppress(ConnectionError):
            await ask(target, _request(target, path="/api/progress/complete/batch", body={"events": events}))


def _invent_event(course: UUID, lesson: str) -> dict[str, object]:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"type": "LessonCompleted", "occurredAt": at, "courseId": str(course), "lessonId": lesson} | {
        "totalLessons": 10_000
    }


def _request(target: Target, path: str = "/api/progress", body: object = None, forged: str | None = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    headers = authorized(forged or target.token) | {
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        "Connection": "close",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    return (b"GET " if body is None else b"POST ") + path.encode() + HOST + lines + b"\r\n" + content


async def ask(target: Target, request: bytes) -> None:
    """Sends a request and reads all that comes; counts the status. Raises ConnectionError when it is cut off."""
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        writer.write(request)
        status = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                while part := await reader.read(1_000_000):
                    status = status or part[9:12]
                    target.seen["no room"] += b"which is the most" in part
        target.seen[status.decode(errors="replace") or "nothing"] += 1
    finally:
        writer.transport.abort()


ATTACKS: dict[Attack, str] = {  # each with what `Target.seen` has when it happened
    hold_connections: "ended",
    leave_answers_unread: "unread",
    send_odd_requests: "401",
    read_much: "200",
    invent_lessons: "no room",
}


@contextmanager
def attacking(attack: Attack, target: Target) -> Iterator[None]:
    """Attacks from a process of its own during the block."""
    described = json.dumps(asdict(target) | {"seen": {}})
    with subprocess.Popen([sys.executable, "-m", "tests.attacks", attack.__name__, described]) as process:
        try:
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    [attack] = [attack for attack in ATTACKS if attack.__name__ == sys.argv[1]]
    asyncio.run(attack(Target(**json.loads(sys.argv[2]) | {"seen": Counter()})))
