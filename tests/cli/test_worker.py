"""The command `worker`: the line with which it stops, and that a stop ends."""

import signal
from contextlib import suppress

import pytest

from tests.processes import WorkerProcess, eventually
from worker.cli.worker import describe_stop
from worker.settings import Settings


def test_a_bug_that_nobody_foresaw_asks_for_a_report() -> None:
    assert "report it" in describe_stop(KeyError("x"))


async def start_hanging(stop_within_s: float, *more: str) -> WorkerProcess:
    process = WorkerProcess(Settings(), str(stop_within_s), *more, module=("tests.cli.hanging",))

    async def started() -> bool:
        assert process.process.poll() is None, process.log
        return "started" in process.log

    await eventually(started)
    return process


@pytest.mark.processes
async def test_a_stop_that_hangs_ends_and_says_so() -> None:
    with await start_hanging(stop_within_s=1) as process:
        assert process.stop() == 1
        assert "it did not stop within 1 s" in process.last_line["reason"]


@pytest.mark.processes
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_another_signal_ends_a_stop_at_once_with_the_status_of_a_shell(
    number: signal.Signals, status: int
) -> None:
    with await start_hanging(stop_within_s=3600) as process:
        process.process.send_signal(signal.SIGTERM)

        async def ended() -> bool:
            with suppress(ProcessLookupError):
                process.process.send_signal(number)
            return process.process.poll() is not None

        await eventually(ended)

        assert process.wait() == status
        assert f"a second signal, {number.name}" in process.last_line["reason"]


@pytest.mark.processes
async def test_the_first_signal_to_a_worker_that_stops_by_itself_does_not_cut_it_off() -> None:
    with await start_hanging(3600, "crash") as process:

        async def stopping() -> bool:
            return "stopping" in process.log.splitlines()

        async def heard() -> bool:
            process.process.send_signal(signal.SIGTERM)
            return "is stopping already" in process.log or process.process.poll() is not None

        await eventually(stopping)
        await eventually(heard)

        assert "is stopping already" in process.log
        assert process.stop() == 143
