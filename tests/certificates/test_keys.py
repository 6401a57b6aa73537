import os
from pathlib import Path

import pytest

from worker.certificates.keys import create_key
from worker.certificates.signing import read_keys
from worker.errors import SetupError


def test_a_key_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    before = os.umask(0)
    try:
        public_key = create_key(path)
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o600
    assert [key.public_key for key in read_keys(str(path))] == [public_key]


def test_a_file_that_exists_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    create_key(path)
    before = path.read_bytes()

    with pytest.raises(SetupError, match=r"key\.pem exists"):
        create_key(path)

    assert path.read_bytes() == before


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"key\.pem cannot be written: No such file or directory"):
        create_key(tmp_path / "missing" / "key.pem")


def test_a_full_disk_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)

    with pytest.raises(SetupError, match="cannot be written: No space left"):
        create_key(tmp_path / "key.pem")

    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_the_disk_did_not_keep_has_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def fail_at_last(descriptor: int) -> None:
        synced.append(descriptor)
        if (tmp_path / "key.pem").exists():
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail_at_last)

    with pytest.raises(SetupError, match="cannot be written: Input/output error"):
        create_key(tmp_path / "key.pem")

    assert len(synced) == 2  # the content before the name, then the name
    assert list(tmp_path.iterdir()) == []
