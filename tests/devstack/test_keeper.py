import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.devstack.traces import eventually, said, starter, traces_of
from worker.devstack.process import PortTaken, StartFailed, find_free_ports, run_kept, scratch_directory

pytestmark = pytest.mark.processes

# A shell with a child of its own.
SCRIPT = """
import signal
from worker.devstack.process import run_kept, scratch_directory

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's children would be spared

with scratch_directory("test") as directory, run_kept(["sh", "-c", "sleep 600 && true"], directory):
    print(directory, flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_command_and_its_directory_go_with_whoever_started_it(end: signal.Signals) -> None:
    with starter(SCRIPT) as process:
        directory = Path(said(process))
        assert eventually(lambda: len(traces_of(process.pid).processes) == 3)  # keeper, shell, sleep
        traces = traces_of(process.pid)

        process.send_signal(end)

        assert eventually(traces.gone)
        assert not directory.exists()


def test_a_keeper_tidies_up_when_all_processes_are_told_to_end() -> None:
    with starter(SCRIPT) as process:
        directory = Path(said(process))
        assert eventually(lambda: len(traces_of(process.pid).processes) == 3)
        traces = traces_of(process.pid)

        for each in (*traces.processes, process):
            each.send_signal(signal.SIGTERM)

        assert eventually(traces.gone)
        assert not directory.exists()


def test_a_command_is_gone_when_the_block_ends_even_by_an_error() -> None:
    with (
        suppress(ZeroDivisionError),
        scratch_directory("test") as directory,
        run_kept(["sleep", "600"], directory) as command,
    ):
        assert eventually(lambda: len(traces_of(command.keeper.pid).processes) == 1)
        traces = traces_of(command.keeper.pid)
        raise ZeroDivisionError

    assert traces.gone()
    assert not directory.exists()


def test_ctrl_c_in_the_terminal_does_not_reach_a_command() -> None:
    with scratch_directory("test") as directory, run_kept(["sleep", "600"], directory) as command:
        assert os.getpgid(command.keeper.pid) != os.getpgid(0)
        assert os.getsid(command.keeper.pid) != os.getsid(0)


def test_a_command_that_dies_before_it_is_ready_says_its_last_words() -> None:
    script = "echo 'fatal: no such cat'; printf '\\tat Stack.frame\\n'; exit 1"

    with (
        scratch_directory("test") as directory,
        run_kept(["sh", "-c", script], directory) as command,
        pytest.raises(StartFailed) as failure,
    ):
        command.wait_until(lambda: False)

    assert str(failure.value) == "fatal: no such cat"


def test_a_command_that_never_gets_ready_fails_in_time() -> None:
    with (
        scratch_directory("test") as directory,
        run_kept(["sleep", "600"], directory) as command,
        pytest.raises(StartFailed),
    ):
        command.wait_until(lambda: False, timeout_s=0.1)


def test_a_taken_port_is_told_apart() -> None:
    script = "echo 'bind: Address already in use'; exit 1"

    with (
        scratch_directory("test") as directory,
        run_kept(["sh", "-c", script], directory) as command,
        pytest.raises(PortTaken),
    ):
        command.wait_until(lambda: False)


def test_free_ports_are_distinct() -> None:
    assert len(set(find_free_ports(20))) == 20
