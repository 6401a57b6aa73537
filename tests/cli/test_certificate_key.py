import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from worker.certificates.signing import read_keys
from worker.cli.certificate_key import key
from worker.errors import SetupError


def test_it_creates_a_key_and_prints_the_public_one(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"

    done = CliRunner().invoke(key, [str(path)])

    assert done.exit_code == 0
    assert f"public key: {read_keys(str(path))[0].public_key}" in done.output
    assert path.read_text().splitlines()[1] not in done.output


def test_it_refuses_to_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("mine")

    done = CliRunner().invoke(key, [str(path)])

    assert isinstance(done.exception, SetupError)  # which main() says in one line, with status 1
    assert path.read_text() == "mine"


def test_the_name_of_a_file_steers_no_terminal(tmp_path: Path) -> None:
    done = CliRunner().invoke(key, [str(tmp_path / "\x1b[31m\nkey.pem")])

    assert done.exit_code == 0
    assert "\x1b" not in done.output
    assert len(done.output.splitlines()) == 2


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_it_takes_one_file(arguments: list[str]) -> None:
    assert CliRunner().invoke(key, arguments).exit_code == 2


# Dies where the machine may: with what was written, and before the disk is known to have it.
POWER_CUT = """
import os, signal
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
from worker.cli.main import main
main()
"""


@pytest.mark.processes
def test_after_a_power_cut_there_is_no_half_written_key_and_the_command_works_again(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"

    cut = subprocess.run([sys.executable, "-c", POWER_CUT, "certificates", "key", str(path)], timeout=60)

    assert cut.returncode == -signal.SIGKILL
    assert not path.exists()
    assert CliRunner().invoke(key, [str(path)]).exit_code == 0
    assert len(read_keys(str(path))) == 1
