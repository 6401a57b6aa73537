"""Prepares `course-progress effects` for the demo, where that can run: with a signing key of the demo's own."""

import os
from importlib.util import find_spec
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

KEYS = "PROGRESS_CERTIFICATE_KEY_FILES"
PACKAGES = ("openbadgeslib", "segno", "typst")  # of the extra `certificates`


def find_obstacle(database: str) -> str:
    """Says why this demo issues no certificates; empty if it does. `database` is how the demo got its database.

    In a database of somebody else it would sign certificates of others, with a key that is gone afterwards.
    """
    if any(find_spec(package) is None for package in PACKAGES):
        return "no certificates are issued: pip install 'course-progress[certificates]'"
    if database == "env" and not os.environ.get(KEYS):
        return f"no certificates are issued: the database is not the demo's own, and {KEYS} is not set"
    return ""


def require_key(directory: Path) -> None:
    """Makes a key for this demo and names it in the environment, unless that names one already."""
    if os.environ.get(KEYS):
        return
    file = directory / "certificates.pem"
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
    file.write_bytes(key)
    os.environ[KEYS] = str(file)
