"""Keys come from the issuer or from a file, and each verifies only its own kind of token."""

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.callers import Issuer, api_settings, authorized, client_of
from worker.demo.keys import DemoKeys
from worker.errors import SetupError
from worker.http_client import NoAnswer
from worker.learners.service import ProgressService
from worker.settings import Settings
from worker.web import keys
from worker.web.app import create_api
from worker.web.keys import JwksKeys, KeysUnavailable, PemKeys, UnknownKey, choose_keys, read_keys
from worker.web.settings import ApiSettings


def pem(key: Any, path: Path) -> Path:
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        (rsa.generate_private_key(65537, 2048), "RS256"),
    ],
    ids=["ES256", "EdDSA", "RS256"],
)
async def test_each_kind_of_key_file_is_for_its_own_algorithm(
    issuer: Issuer, user: UUID, tmp_path: Path, key: Any, alg: str
) -> None:
    settings = api_settings(Settings(database_url="postgresql://postgres@127.0.0.1:1/none"), issuer)
    keys = PemKeys(pem(key, tmp_path / "key.pem"))
    assert keys.algorithms == (alg,)
    async with ProgressService(settings) as service:
        app = create_api(settings, keys, service)
        async with client_of(app, issuer.token(user, alg=alg, key=key)) as client:
            answer = await client.get("/api/progress")

    assert answer.status_code == 503  # behind the door


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP384R1())], ids=["1024", "P-384"]
)
def test_a_weak_or_other_key_file_is_refused(tmp_path: Path, key: Any) -> None:
    with pytest.raises(SetupError, match="PROGRESS_JWT_KEY_FILE"):
        PemKeys(pem(key, tmp_path / "key.pem"))


@pytest.mark.parametrize("content", [b"", b"secret", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_file_without_a_key_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(content)

    with pytest.raises(SetupError, match="not the PEM of a public key"):
        PemKeys(tmp_path / "key.pem")


def test_no_setting_leads_to_a_symmetric_key(issuer: Issuer) -> None:
    names = [name for name in ApiSettings.model_fields if name.startswith("jwt_")]

    assert names == ["jwt_issuer", "jwt_audience", "jwt_jwks_url", "jwt_key_file"]
    assert not any(name.startswith("HS") for name in keys.ALGORITHMS)
    assert isinstance(choose_keys(api_settings(Settings(), issuer)), PemKeys)
    url = {"jwt_key_file": None, "jwt_jwks_url": "https://login.example/jwks.json"}
    assert isinstance(choose_keys(api_settings(Settings(), issuer, **url)), JwksKeys)


class Published:
    """Holds the keys that an issuer publishes under its URL."""

    def __init__(self) -> None:
        self.jwks: list[Any] | None = []
        self.asked = 0
        self.drips = False
        self.ended = threading.Event()

    def publish(self, *keys: tuple[str, Any]) -> None:
        algorithm = jwt.algorithms.RSAAlgorithm
        self.jwks = [algorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "use": "sig"} for kid, key in keys]


@contextmanager
def published() -> Iterator[tuple[Published, str]]:
    site = Published()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked += 1
            body = json.dumps({"keys": site.jwks}).encode()
            self.send_response(200 if site.jwks is not None else 500)
            self.send_header("Content-Length", str(len(body) + 1_000_000 * site.drips))
            self.end_headers()
            if not site.drips:
                self.wfile.write(body)
                return
            with suppress(OSError):  # the caller has given up
                while not site.ended.wait(0.05):
                    self.wfile.write(b" ")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield site, f"http://127.0.0.1:{server.server_port}/jwks.json"
        finally:
            site.ended.set()
            server.shutdown()


OLD, NEW = (rsa.generate_private_key(65537, 2048) for _ in range(2))


async def test_keys_are_fetched_once_and_again_for_a_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    with published() as (site, url):
        site.publish(("old", OLD))
        keys = JwksKeys(url)
        for _ in range(3):
            assert (await keys.find("old")).key_id == "old"
        assert site.asked == 1

        site.publish(("new", NEW))
        with pytest.raises(UnknownKey):  # asked a moment ago
            await keys.find("new")
        monkeypatch.setattr("worker.web.keys.FETCH_AGAIN_AFTER_S", 0)

        assert (await keys.find("new")).key_id == "new"
        with pytest.raises(UnknownKey):
            await keys.find("old")


async def test_made_up_key_ids_do_not_fetch_keys_each_time() -> None:
    with published() as (site, url):
        site.publish(("old", OLD))
        keys = JwksKeys(url)
        for kid in ("a", "b", None, "c"):
            with pytest.raises(UnknownKey):
                await keys.find(kid)

    assert site.asked == 1


async def test_known_keys_are_used_while_the_issuer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with published() as (site, url):
        site.publish(("old", OLD))
        keys = JwksKeys(url)
        await keys.find("old")
        monkeypatch.setattr("worker.web.keys.KEYS_KEEP_S", 0)
        site.jwks = None
        for _ in range(2):
            assert (await keys.find("old")).key_id == "old"
            if keys._fetching:
                await keys._fetching

    assert site.asked > 1


async def test_an_issuer_that_drips_holds_no_call_and_a_new_key_serves_when_it_is_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each read is in time, and the whole never is."""
    monkeypatch.setattr("worker.http_client.LONGEST_FETCH_S", 0.5)
    monkeypatch.setattr("worker.web.keys.FETCH_AGAIN_AFTER_S", 0)
    with published() as (site, url):
        site.drips = True
        keys = JwksKeys(url)
        calls = await asyncio.gather(*(keys.find("old") for _ in range(5)), return_exceptions=True)
        assert [type(call) for call in calls] == [KeysUnavailable] * 5
        assert site.asked == 1

        site.drips = False
        site.publish(("old", OLD))
        assert (await keys.find("old")).key_id == "old"
        site.drips = True
        with pytest.raises(KeysUnavailable):  # it may be a new key, and nobody knows
            await keys.find("new")
        assert (await keys.find("old")).key_id == "old"

        site.drips = False
        site.publish(("new", NEW))
        assert (await keys.find("new")).key_id == "new"


ODD_KEYS = [
    "text",
    {"kty": "RSA", "kid": "odd", "alg": ["RS256"]},
    {"kty": "RSA", "kid": "odd", "n": 5, "e": {}},
    {"kty": "RSA", "kid": "odd", "n": "AQAB", "e": "AQAB"},
    {"kty": "EC", "kid": "odd", "crv": ["P-256"], "x": "AA", "y": "AA"},
    {"kty": "OKP", "kid": "odd", "crv": "Ed25519", "x": None},
    {"kty": "oct", "kid": "odd", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "alg": "HS256"},
    {"kty": {}, "kid": "odd"},
    None,
]


@pytest.mark.parametrize("odd", ODD_KEYS, ids=str)
async def test_an_odd_key_takes_no_good_one_with_it(odd: Any) -> None:
    with published() as (site, url):
        site.publish(("old", OLD))
        assert site.jwks is not None
        site.jwks = [odd, *site.jwks, {**site.jwks[0], "kid": ["old"]}, {**site.jwks[0], "kid": "enc", "use": "enc"}]
        keys = JwksKeys(url)

        assert (await keys.find("old")).key_id == "old"
        for other in ("odd", "enc"):
            with pytest.raises(UnknownKey):
                await keys.find(other)


TOO_MANY = b'{"keys": [' + b"{}," * keys.MOST_KEYS + b"{}]}"


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b"[" * 100_000, b'"keys"', b"{}", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [{}]}', TOO_MANY],
    ids=lambda body: body[:20],
)
def test_what_is_no_set_of_keys_is_refused_and_not_shown(body: bytes) -> None:
    with pytest.raises(NoAnswer, match=r"^(the answer is not|no key of|the set has 101 keys)") as raised:
        read_keys(body)

    assert len(str(raised.value)) < 100


async def test_without_any_key_the_api_is_unavailable(issuer: Issuer, user: UUID) -> None:
    settings = api_settings(Settings(), issuer)
    app = create_api(settings, JwksKeys("http://127.0.0.1:1/jwks.json"), ProgressService(settings))
    async with client_of(app, issuer.token(user)) as client:
        answer = await client.get("/api/progress")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    with pytest.raises(KeysUnavailable):
        await JwksKeys("http://127.0.0.1:1/jwks.json").find("old")


async def test_the_demo_signs_with_a_key_that_only_code_has(user: UUID, issuer: Issuer) -> None:
    keys = DemoKeys()
    settings = api_settings(Settings(), issuer, jwt_issuer="course-progress demo", jwt_audience="course-progress demo")
    async with client_of(create_api(settings, keys, ProgressService(settings))) as client:
        found = [
            (await client.post("/api/progress/access", json={}, headers=authorized(token))).status_code
            for token in (keys.token(user), DemoKeys().token(user))
        ]

    assert found == [400, 401]
