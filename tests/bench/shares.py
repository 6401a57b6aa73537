"""Measures each process's share of all cores during a measurement, because it bounds a latency."""

import time
from collections.abc import Mapping

import psutil

from tests.bench.machine import seconds

HOST = "taken by the host"


def format_shares(percent: Mapping[str, float]) -> str:
    busy, *shares = (f"{each} {share:.0f} %" for each, share in percent.items())
    return f"{busy} of all cores: {', '.join(shares)}"


class Shares:
    """Measures shares of all cores from its creation until it is read.

    It has the share of each given process with its children, of the harness, of the virtual machine's host, and of all
    together. Only the last includes the machine's other work, the kernel's own too; it includes the host as well.
    """

    def __init__(self, **processes: psutil.Process | None) -> None:
        self._processes = {name: process for name, process in processes.items() if process}
        self._before = self._read()

    def describe(self) -> str:
        return format_shares(self.percent())

    def percent(self) -> dict[str, float]:
        """Returns the percent of `busy` (all together), of each process by its name, of `harness` and of HOST."""
        took = {name: now - self._before[name] for name, now in self._read().items()}
        cores_s = took.pop("cores")
        return {name: 100 * spent / cores_s for name, spent in took.items()}

    def _read(self) -> dict[str, float]:
        times = psutil.cpu_times()
        cores_s = sum(times[:8])  # the time of guests is in the user time already
        each = {name: seconds(process) for name, process in self._processes.items()}
        each |= {"harness": time.process_time(), HOST: times.steal}
        return {"busy": cores_s - times.idle - times.iowait, "cores": cores_s, **each}
