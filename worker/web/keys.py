"""Finds the keys that verify tokens."""

import asyncio
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

import jwt
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic_core import from_json

from worker.errors import SetupError, Unavailable
from worker.http_client import NoAnswer, fetch
from worker.web.settings import ApiSettings

log = structlog.get_logger("api")

ALGORITHMS = ("RS256", "ES256", "EdDSA")
KEYS_KEEP_S = 300
FETCH_AGAIN_AFTER_S = 5  # counted from the beginning of the last fetch
MOST_KEYS = 100


class UnknownKey(Exception):
    """No key of the issuer has this id."""


class KeysUnavailable(Unavailable):
    """The issuer's keys cannot be fetched, and the one that is asked for is not among those that are known."""


class Keys(Protocol):
    """Holds the keys that verify tokens."""

    @property
    def algorithms(self) -> Collection[str]:
        """Lists the algorithms that a token may name; each fits only its own kind of key."""

    async def find(self, kid: str | None) -> Any:
        """Returns the key with this id, as PyJWT takes it. Raises UnknownKey or KeysUnavailable."""


class JwksKeys:
    """Fetches the keys that the issuer publishes: every five minutes, and for an unknown id, which means a rotation."""

    algorithms = ALGORITHMS

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._complete = False  # whether the last fetch brought all keys
        self._fetched_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None) -> jwt.PyJWK:
        """Returns the key with this id. Raises UnknownKey, or KeysUnavailable while the issuer does not answer.

        A caller waits at most LONGEST_FETCH_S, and only for an id that is unknown: a fetch that takes longer ends.
        """
        known = kid in self._keys
        if self._is_due(known):
            self._complete, self._fetched_at = False, time.monotonic()
            self._fetching = asyncio.create_task(self._fetch(), name="keys of the issuer")
        if not known and self._fetching is not None:
            await asyncio.wait([self._fetching])
        if kid in self._keys:
            return self._keys[kid]
        if not self._complete:  # the id may be that of a new key
            raise KeysUnavailable("the issuer's keys cannot be fetched: see PROGRESS_JWT_JWKS_URL")
        raise UnknownKey(kid)

    def _is_due(self, known: bool) -> bool:
        if self._fetching is not None and not self._fetching.done():
            return False
        # Made-up ids must not make this process ask the issuer with every request.
        return time.monotonic() - self._fetched_at >= (KEYS_KEEP_S if known else FETCH_AGAIN_AFTER_S)

    async def _fetch(self) -> None:
        try:
            answer = await fetch(self._url)
            if answer.status != 200:
                raise NoAnswer(f"the status is {answer.status}")
            self._keys = {key.key_id: key for key in read_keys(answer.body)}
            self._complete = True
        except NoAnswer as error:  # known keys stay in use
            log.warning("the issuer's keys cannot be fetched", reason=str(error))


def read_keys(body: bytes) -> list[jwt.PyJWK]:
    """Reads the keys that verify tokens from a JSON Web Key Set, and leaves out all others.

    Raises NoAnswer if there is none, or if there are more than MOST_KEYS of any kind.
    """
    try:
        document = from_json(body)
    except ValueError as error:
        raise NoAnswer(f"the answer is not JSON: {error}") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise NoAnswer("the answer is not a set of keys")
    if len(entries) > MOST_KEYS:
        raise NoAnswer(f"the set has {len(entries):,} keys, more than {MOST_KEYS}")
    readable = [key for key in map(_read_key, entries) if key is not None]
    if len(readable) < len(entries):
        log.warning("some of the issuer's keys cannot be read: the others are used", keys=len(entries) - len(readable))
    if usable := [key for key in readable if _verifies_tokens(key)]:
        return usable
    raise NoAnswer(f"no key of the set has an id and verifies {', '.join(ALGORITHMS)}")


def _read_key(entry: Any) -> jwt.PyJWK | None:
    """Reads one key; None if it is not one. Not jwt.PyJWKSet, in which an odd key can take the good ones with it."""
    try:
        return jwt.PyJWK(entry)
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, AttributeError, LookupError):
        return None


def _verifies_tokens(key: jwt.PyJWK) -> bool:
    named = isinstance(key.key_id, str) and key.key_id != ""
    return named and key.public_key_use in (None, "sig") and key.algorithm_name in ALGORITHMS


class PemKeys:
    """Holds the issuer's one public key, from a file that is read once."""

    def __init__(self, path: Path) -> None:
        try:
            self._key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm):
            raise SetupError("PROGRESS_JWT_KEY_FILE is not the PEM of a public key") from None
        self.algorithms = (_find_algorithm(self._key),)

    async def find(self, kid: str | None) -> Any:
        return self._key


def _find_algorithm(key: object) -> str:
    if isinstance(key, RSAPublicKey) and key.key_size >= 2048:
        return "RS256"
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return "ES256"
    if isinstance(key, Ed25519PublicKey):
        return "EdDSA"
    raise SetupError("PROGRESS_JWT_KEY_FILE must be an RSA key of 2048 bits or more, a P-256 or an Ed25519 one")


def choose_keys(settings: ApiSettings) -> Keys:
    """Returns the keys that these settings name. Raises SetupError."""
    url, path = settings.jwt_jwks_url, settings.jwt_key_file
    if url is not None and path is None:
        return JwksKeys(str(url))
    if path is not None and url is None:
        return PemKeys(path)
    raise SetupError("set PROGRESS_JWT_JWKS_URL or PROGRESS_JWT_KEY_FILE, one of the two (docs/api.md)")
