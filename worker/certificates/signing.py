"""Signs credentials and status lists with Ed25519 (eddsa-rdfc-2022). Nothing is ever fetched for it."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from worker.certificates.certificate import Certificate
from worker.certificates.credential import build_credential, build_status_list
from worker.certificates.did import did_of, encode_public_key
from worker.certificates.settings import CertificateSettings
from worker.certificates.status_bits import ListPlace
from worker.errors import SetupError
from worker.postgres.connection import query

NEW_KEY = "course-progress certificates key FILE"


class CannotSign(SetupError):
    """Credentials cannot be signed until an operator changes something: a key, the public URL, what is installed."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Holds a private key, which its repr does not show, and the public key by which anybody verifies."""

    pem: bytes = field(repr=False)
    public_key: str  # multibase

    @property
    def key_id(self) -> str:
        """Returns what stands behind # in the key's name: the public key itself, so it names no other."""
        return self.public_key


class Signer:
    """Signs with the first key of PROGRESS_CERTIFICATE_KEY_FILES; the public keys of all are published.

    The files are read at the first use that finds everything in place, and not again. Everything but the constructor
    raises CannotSign.
    """

    def __init__(self, settings: CertificateSettings) -> None:
        self._settings = settings
        self._keys: list[SigningKey] = []
        self._public_url = ""

    def load(self) -> None:
        """Reads the keys, once, and makes sure that it can sign."""
        if self._keys:
            return
        if find_spec("openbadgeslib") is None or find_spec("pyld") is None:
            raise CannotSign("certificates need an extra: pip install 'course-progress[certificates]'")
        if self._settings.public_url is None:
            raise CannotSign("PROGRESS_PUBLIC_URL is not set: it names the issuer of certificates, so set it")
        self._public_url = str(self._settings.public_url).rstrip("/")
        did_of(self._public_url)
        self._keys = read_keys(self._settings.certificate_key_files)

    @property
    def key_id(self) -> str:
        """Returns the id of the key that signs."""
        return self._loaded[0].key_id

    @property
    def public_key(self) -> str:
        """Returns the public key of the key that signs, multibase."""
        return self._loaded[0].public_key

    @property
    def public_keys(self) -> dict[str, str]:
        """Returns the public keys of all key files, by their ids."""
        return {key.key_id: key.public_key for key in self._loaded}

    def sign_certificate(self, certificate: Certificate, place: ListPlace, email: str | None) -> dict[str, Any]:
        """Makes the signed credential of a certificate, with its place in a status list. Takes about 10 ms of CPU."""
        self.load()
        issuer, salt = self._settings.certificate_issuer, secrets.token_hex(16)
        credential = build_credential(certificate, self._public_url, issuer, place, email, salt)
        return self._sign(credential, certificate.issued_at)

    def sign_status_list(self, number: int, bits: bytes, now: datetime) -> dict[str, Any]:
        """Makes the signed status list of this number, valid for 48 hours."""
        self.load()
        return self._sign(build_status_list(number, bits, self._public_url, now), now)

    @property
    def _loaded(self) -> list[SigningKey]:
        self.load()
        return self._keys

    def _sign(self, document: dict[str, Any], now: datetime) -> dict[str, Any]:
        from openbadgeslib.ob3.ldp import add_data_integrity_proof  # of the extra

        method = f"{did_of(self._public_url)}#{self.key_id}"
        return add_data_integrity_proof(document, self._keys[0].pem, method, created=now.replace(microsecond=0))


def read_keys(files: str) -> list[SigningKey]:
    """Reads the keys of these files, comma-separated. Raises CannotSign, which says what to do about which file."""
    paths = [Path(name.strip()) for name in files.split(",") if name.strip()]
    if not paths:
        raise CannotSign(
            f"there is no key to sign certificates with: create one ({NEW_KEY}) and set PROGRESS_CERTIFICATE_KEY_FILES"
        )
    return [_read_key(path) for path in paths]


def _read_key(path: Path) -> SigningKey:
    where = f"PROGRESS_CERTIFICATE_KEY_FILES: {path}"
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        raise CannotSign(
            f"{where} does not exist: restore it, or name another ({NEW_KEY}); "
            "what it has signed can still be verified, because its public key is kept"
        ) from None
    except OSError as error:
        raise CannotSign(f"{where} cannot be read ({error.strerror}): let this process read it") from None
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise CannotSign(f"{where} has a passphrase: write it without one (openssl pkey -in FILE -out NEW)") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None  # and no word of the error, which could quote the file
    if not isinstance(key, Ed25519PrivateKey):
        raise CannotSign(f"{where} is no private key of the kind Ed25519 in PEM: create one ({NEW_KEY})")
    return SigningKey(pem, encode_public_key(key.public_key().public_bytes_raw()))


async def publish_keys(connection: asyncpg.Connection, signer: Signer) -> None:
    """Stores the signer's public keys, in the transaction that stores what they sign: did.json has them from then on.

    Raises CannotSign, and the driver's errors, which the caller translates.
    """
    keys = sorted(signer.public_keys.items())  # callers lock in one order, so that they do not deadlock
    ids, public_keys = zip(*keys, strict=True)
    await connection.execute(query("certificates/publish_keys"), ids, public_keys)
