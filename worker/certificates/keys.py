"""Creates the private keys that sign credentials."""

import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from worker.certificates.did import encode_public_key
from worker.errors import SetupError


def create_key(path: Path) -> str:
    """Creates a file with a new Ed25519 key that only its owner may read, durable on return. Returns the public key.

    After a power cut the file is there whole, or not at all. Raises SetupError; a file that exists is never touched.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        _write_whole(path, pem)
    except FileExistsError:
        raise SetupError(f"{path} exists: name a file that does not, because a key that is lost is lost") from None
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}") from None
    return encode_public_key(key.public_key().public_bytes_raw())


def _write_whole(path: Path, content: bytes) -> None:
    """Writes a new file under another name, and gives it its own once the disk has it. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=".new-key-", dir=path.parent)  # which its owner alone may read
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)  # a rename would replace a file that exists
    finally:
        os.unlink(name)
    try:
        _sync(path.parent)
    except OSError:
        path.unlink()
        raise


def _sync(directory: Path) -> None:
    """Has the disk keep which files are in the directory. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
