"""Reads the processor time of broker, database and contenders from the kernel."""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import asyncpg
import psutil

CPUS = Path("/proc/cpuinfo")
CORES = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Cpu:
    """Holds processor times, in seconds so far or in microseconds per event; nan: the process is not visible here."""

    broker: float
    database: float
    contender: float

    @property
    def all(self) -> float:
        return self.broker + self.database + self.contender

    def per_event(self, since: Cpu, events: int) -> Cpu:
        """Returns the microseconds per event since an earlier reading."""
        us = 1e6 / events if events else float("nan")
        return Cpu(
            (self.broker - since.broker) * us,
            (self.database - since.database) * us,
            (self.contender - since.contender) * us,
        )


class Meter:
    """Reads the processor time of the servers and of the contenders, each with all its children."""

    def __init__(self, kafka: str, connection: asyncpg.Connection, contenders: list[int]) -> None:
        self._servers = server_processes(kafka, connection)
        self._contenders = [psutil.Process(pid) for pid in contenders]

    def read(self) -> Cpu:
        contenders = sum(seconds(process) for process in self._contenders)
        return Cpu(seconds(self._servers["broker"]), seconds(self._servers["database"]), contenders)


def server_processes(kafka: str, connection: asyncpg.Connection) -> dict[str, psutil.Process | None]:
    """Returns the processes of `database` and `broker`; None for one that is not visible from here."""
    return {"database": postmaster(connection.get_server_pid()), "broker": listening(kafka)}


def seconds(process: psutil.Process | None) -> float:
    if process is None:
        return float("nan")
    used = process.cpu_times()
    total = used.user + used.system + used.children_user + used.children_system  # the latter: of children that ended
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total += sum(child.cpu_times()[:2])
    return total


def listening(kafka: str) -> psutil.Process | None:
    """Finds the Java process that listens there; None where the broker is in a container or on another machine."""
    port = int(kafka.rsplit(":", 1)[1])
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error):
            if process.info["name"] == "java" and any(c.laddr.port == port for c in _listened(process)):
                return process
    return None


def _listened(process: psutil.Process) -> list[psutil._common.pconn]:
    return [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]


def postmaster(backend: int) -> psutil.Process | None:
    """Finds the server of that session; None where it is in a container or on another machine."""
    with suppress(psutil.Error):
        process = psutil.Process(backend)
        if process.name() == "postgres":
            return process.parent()
    return None


def speed_ms() -> float:
    """Times a fixed loop: the median of five, because neighbours of a virtual machine come and go."""

    def one() -> float:
        began = time.perf_counter()
        sum(number * number for number in range(1_000_000))
        return 1000 * (time.perf_counter() - began)

    return median(one() for _ in range(5))


def description() -> str:
    cpus = CPUS.read_text().splitlines() if CPUS.exists() else []
    model = next((line.split(": ")[1] for line in cpus if line.startswith("model name")), platform.machine())
    memory_gb = psutil.virtual_memory().total / 2**30
    return f"{CORES} cores of {model} and {memory_gb:.0f} GB for broker, database, contender and harness together"
