"""Who has how much of all cores meanwhile: what a latency is bound by."""

import time
from collections.abc import Mapping

import psutil

from tests.bench.machine import seconds

HOST = "taken by the host"


def told(percent: Mapping[str, float]) -> str:
    busy, *shares = (f"{each} {share:.0f} %" for each, share in percent.items())
    return f"{busy} of all cores: {', '.join(shares)}"


class Shares:
    """Of some processes, each with its children, of the harness, of the host of a virtual machine, and of all; from
    when it is made until it is told.

    What else the machine does, the kernel's own work included, is in the first figure alone, which has the host too.
    """

    def __init__(self, **processes: psutil.Process | None) -> None:
        self._processes = {name: process for name, process in processes.items() if process}
        self._before = self._read()

    def told(self) -> str:
        return told(self.percent())

    def percent(self) -> dict[str, float]:
        """`busy`, each by its name, `harness` and HOST."""
        took = {name: now - self._before[name] for name, now in self._read().items()}
        cores_s = took.pop("cores")
        return {name: 100 * spent / cores_s for name, spent in took.items()}

    def _read(self) -> dict[str, float]:
        times = psutil.cpu_times()
        cores_s = sum(times[:8])  # what guests have is in user's already
        each = {name: seconds(process) for name, process in self._processes.items()}
        each |= {"harness": time.process_time(), HOST: times.steal}
        return {"busy": cores_s - times.idle - times.iowait, "cores": cores_s, **each}
