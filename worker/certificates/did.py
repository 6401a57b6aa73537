"""Names the issuer by its address (did:web), and builds the document that publishes its keys. Pure."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from worker.errors import SetupError

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
ED25519 = b"\xed\x01"  # the multicodec of an Ed25519 public key
CONTEXTS = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"]


def did_of(public_url: str) -> str:
    """Returns the issuer's name: `did:web:learn.example`, with a port `did:web:learn.example%3A8443`, with a path
    `did:web:learn.example:courses`. Raises SetupError for an address that cannot be a name."""
    url = urlsplit(public_url)
    if "@" in url.netloc or url.query or url.fragment:
        raise SetupError("PROGRESS_PUBLIC_URL names the issuer: it must have no user, password, query or fragment")
    segments = [segment for segment in url.path.split("/") if segment]
    return ":".join(["did:web", quote(url.netloc, safe=""), *(quote(segment, safe="%") for segment in segments)])


def build_did_document(public_url: str, keys: Mapping[str, str]) -> dict[str, Any]:
    """Builds the DID document with these public keys (multibase), by their ids. Raises what `did_of` does.

    It is served at `<public_url>/.well-known/did.json`, where that address has a path at `<public_url>/did.json`.
    """
    did = did_of(public_url)
    methods = [
        {"id": f"{did}#{key_id}", "type": "Multikey", "controller": did, "publicKeyMultibase": public_key}
        for key_id, public_key in keys.items()
    ]
    return {
        "@context": CONTEXTS,
        "id": did,
        "verificationMethod": methods,
        "assertionMethod": [method["id"] for method in methods],
    }


def encode_public_key(key: bytes) -> str:
    """Encodes the 32 bytes of an Ed25519 public key as `publicKeyMultibase`."""
    return "z" + _encode_base58(ED25519 + key)


def _encode_base58(value: bytes) -> str:
    number, digits = int.from_bytes(value), ""
    while number:
        number, digit = divmod(number, 58)
        digits = ALPHABET[digit] + digits
    return digits  # complete, because the value does not begin with a zero byte
