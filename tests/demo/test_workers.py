from pathlib import Path

import pytest

from worker.demo.workers import build_command, describe_end


@pytest.mark.parametrize("status", [-9, 247])
def test_a_kill_is_told_by_its_signal(status: int, tmp_path: Path) -> None:
    assert describe_end(status, tmp_path / "no log") == "was killed by SIGKILL"


def test_a_worker_that_gave_up_is_quoted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('{"event": "starting"}\n{"event": "the worker stopped", "reason": "no such topic"}\n')

    assert describe_end(1, log) == "exited with 1: the worker stopped no such topic"


@pytest.mark.parametrize("words", ["Traceback", "[1]", "{}", ""])
def test_whatever_it_said(words: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(words)

    assert describe_end(2, log) == f"exited with 2: {words}"


def test_only_the_worker_has_the_port_that_is_set() -> None:
    commands = {name: build_command(name)[-1] for name in ("worker", "effects")}

    assert {name: "PROGRESS_HTTP_PORT=0" in line for name, line in commands.items()} == {
        "worker": False,
        "effects": True,
    }
    assert all(line.endswith(f"-m worker.cli {name}") for name, line in commands.items())
