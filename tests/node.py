"""Installs packages of Node for tests, which npm does once, into the cache."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest


def find_packages(name: str, versions: Mapping[str, str]) -> Path:
    """Returns the directory whose node_modules has these packages. Skips the test where they cannot be had, and fails
    it where servers are required.
    """
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    try:
        if not missing:
            return install(name, versions)
        reason = f"{' and '.join(missing)} must be installed"
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        reason = f"npm cannot install the {name}: {error}"
    if os.environ.get("REQUIRE_SERVERS"):
        pytest.fail(reason)
    pytest.skip(reason)


def install(name: str, versions: Mapping[str, str]) -> Path:
    """Installs the packages into the cache, once for these versions and all processes. Returns the directory."""
    packages = [f"{package}@{version}" for package, version in versions.items()]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "course-progress"
    directory = cache / f"{name}-{sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "complete").exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            flags = ["--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(["npm", "install", *flags, "--prefix", directory, *packages], check=True, timeout=100)
            (directory / "complete").touch()
    return directory
