"""Creates the private keys that sign credentials."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from worker.certificates.did import encode_public_key
from worker.errors import SetupError


def create_key(path: Path) -> str:
    """Creates a file with a new Ed25519 key that only its owner may read, durable on return. Returns the public key.

    Raises SetupError; a file that exists is never touched.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SetupError(f"{path} exists: name a file that does not, because a key that is lost is lost") from None
    except OSError as error:
        raise SetupError(f"{path} cannot be created: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink()
        raise SetupError(f"{path} cannot be written: {error.strerror}") from None
    return encode_public_key(key.public_key().public_bytes_raw())
