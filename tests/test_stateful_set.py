"""A pod asks Kubernetes, over TLS and as itself, whether it will run again."""

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from worker.stateful_set import NotTold, has_place

THREE = {"metadata": {}, "spec": {"replicas": 3}}
FROM_FIVE = {"metadata": {}, "spec": {"replicas": 3, "ordinals": {"start": 5}}}
DELETED = {"metadata": {"deletionTimestamp": "2026-11-23T09:30:00Z"}, "spec": {"replicas": 3}}


class Kubernetes:
    """Answers as the API server does; `asked` has the path and token of each question."""

    def __init__(self, directory: Path) -> None:
        self.status, self.body = 200, json.dumps(THREE).encode()
        self.asked: list[tuple[str, str | None]] = []
        self.authority = trustme.CA()
        self.account = directory
        self.authority.cert_pem.write_to_path(directory / "ca.crt")
        (directory / "token").write_text("ours\n")
        (directory / "namespace").write_text("school")

    @contextmanager
    def serving(self) -> Iterator[str]:
        kubernetes = self

        class Answering(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kubernetes.asked.append((self.path, self.headers["Authorization"]))
                self.send_response(kubernetes.status)
                self.end_headers()
                self.wfile.write(kubernetes.body)

            def log_message(self, *_: object) -> None:
                pass

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1").configure_cert(context)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            try:
                yield f"https://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()


@pytest.fixture
def kubernetes(tmp_path: Path) -> Kubernetes:
    return Kubernetes(tmp_path)


@pytest.mark.parametrize(
    ("pod", "found", "stays"),
    [
        ("worker-0", THREE, True),
        ("worker-2", THREE, True),
        ("worker-3", THREE, False),
        ("worker-10", THREE, False),
        ("worker-0", THREE | {"spec": {"replicas": 0}}, False),
        ("worker-4", FROM_FIVE, False),
        ("worker-5", FROM_FIVE, True),
        ("worker-7", FROM_FIVE, True),
        ("worker-8", FROM_FIVE, False),
        ("worker-0", DELETED, False),
    ],
)
async def test_a_pod_has_a_place_if_its_ordinal_is_one_of_the_replicas(
    kubernetes: Kubernetes, pod: str, found: dict[str, Any], stays: bool
) -> None:
    kubernetes.body = json.dumps(found).encode()
    with kubernetes.serving() as server:
        assert await has_place(pod, kubernetes.account, server) is stays

    assert kubernetes.asked == [("/apis/apps/v1/namespaces/school/statefulsets/worker", "Bearer ours")]


async def test_a_pod_of_a_stateful_set_that_is_gone_has_no_place(kubernetes: Kubernetes) -> None:
    kubernetes.status = 404
    with kubernetes.serving() as server:
        assert await has_place("worker-0", kubernetes.account, server) is False


@pytest.mark.parametrize("host", ["worker", "worker-7d9f8b6c5d-x2x4z", ""])
async def test_another_hosts_name_is_nobodys_place_and_nobody_is_asked(kubernetes: Kubernetes, host: str) -> None:
    assert await has_place(host, kubernetes.account, "https://127.0.0.1:1") is None


async def test_without_a_service_account_nobody_is_asked(tmp_path: Path) -> None:
    assert await has_place("worker-3", tmp_path / "none", "https://127.0.0.1:1") is None


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, b"{}"), (500, b""), (200, b"not JSON"), (200, b"[]"), (200, b"{}"), (200, b'{"metadata": {}, "spec": {}}')],
)
async def test_what_does_not_tell_is_one_line_without_the_token(
    kubernetes: Kubernetes, status: int, body: bytes
) -> None:
    kubernetes.status, kubernetes.body = status, body
    with kubernetes.serving() as server, pytest.raises(NotTold) as raised:
        await has_place("worker-3", kubernetes.account, server)

    assert "school/worker" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert "ours" not in str(raised.value)


async def test_a_server_whose_authority_is_not_the_clusters_gets_no_token(kubernetes: Kubernetes) -> None:
    trustme.CA().cert_pem.write_to_path(kubernetes.account / "ca.crt")
    with kubernetes.serving() as server, pytest.raises(NotTold):
        await has_place("worker-3", kubernetes.account, server)

    assert kubernetes.asked == []
