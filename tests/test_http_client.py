"""A fetch ends in time and in size, whatever the other server does, and says nothing of what was sent."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from worker import http_client
from worker.http_client import LARGEST_BODY, NoAnswer, fetch

Handler = http.server.BaseHTTPRequestHandler
SECRET = "s3cret"
ended = threading.Event()


@contextmanager
def serving(answer: Callable[[Handler], None]) -> Iterator[str]:
    class Answering(Handler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with suppress(OSError):  # the caller has given up
                answer(self)

        def log_message(self, *_: object) -> None:
            pass

    ended.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{SECRET}"
        finally:
            ended.set()
            server.shutdown()


def send(handler: Handler, *parts: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    for part in parts:
        handler.wfile.write(part)


def say_nothing(handler: Handler) -> None:
    ended.wait()


def drip_a_header(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while not ended.wait(0.05):
        handler.wfile.write(b"x")


def drip_a_body(handler: Handler) -> None:
    send(handler, b"{")
    while not ended.wait(0.05):
        handler.wfile.write(b" ")


def send_too_much(handler: Handler) -> None:
    send(handler, *[b" " * 65536] * (LARGEST_BODY // 65536), b" ")


def announce_too_much(handler: Handler) -> None:
    send(handler, *[b" " * 65536] * 10_000, Content_Length="655360000")


def end_early(handler: Handler) -> None:
    send(handler, b"{}", Content_Length="10")


def speak_otherwise(handler: Handler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")


def send_bad_chunks(handler: Handler) -> None:
    send(handler, b"zz\r\n", Transfer_Encoding="chunked")


@pytest.mark.parametrize(
    "answer",
    [
        say_nothing,
        drip_a_header,
        drip_a_body,
        send_too_much,
        announce_too_much,
        end_early,
        speak_otherwise,
        send_bad_chunks,
    ],
)
async def test_an_answer_that_cannot_be_read_is_one_error(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[Handler], None]
) -> None:
    monkeypatch.setattr(http_client, "LONGEST_FETCH_S", 1)
    with serving(answer) as url, pytest.raises(NoAnswer) as raised:
        await fetch(url, {"scope": SECRET}, f"Basic {SECRET}")

    assert SECRET not in repr(raised.value)
    assert raised.value.__cause__ is None


async def test_the_largest_body_is_read_as_it_was_sent() -> None:
    body = b"\x1f\x8b" + b"x" * (LARGEST_BODY - 2)
    with serving(lambda handler: send(handler, body, Content_Encoding="gzip")) as url:
        answer = await fetch(url, {})

    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize("status", [302, 307, 404, 500])
async def test_any_other_status_is_returned_without_a_body_and_without_another_call(status: int) -> None:
    asked = list[str]()

    def answer(handler: Handler) -> None:
        asked.append(handler.path)
        send(handler, b"a secret", status=status, Location="/elsewhere")

    with serving(answer) as url:
        found = await fetch(url, {})

    assert (found.status, found.body, len(asked)) == (status, b"", 1)


async def test_nobody_listens() -> None:
    with pytest.raises(NoAnswer, match=r"refused|Connect call failed"):
        await fetch("http://127.0.0.1:1/")
