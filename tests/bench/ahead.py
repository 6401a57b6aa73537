"""Some processes ahead of all others: docs/api.md, "API and workers on one machine"."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil


@contextmanager
def ahead(*first: psutil.Process) -> Iterator[None]:
    """Until the end these run when they are ready, each before the next and all before whoever else runs (SCHED_RR).

    With their children, but for this process's. Raises PermissionError where the kernel does not allow it.
    """
    try:
        for priority, process in enumerate(reversed(first), 1):
            _schedule(process, priority)
        yield
    finally:
        for process in first:
            _schedule(process, 0)


def allowed(*first: psutil.Process) -> bool:
    try:
        with ahead(*first):
            return True
    except PermissionError:
        return False


def _schedule(process: psutil.Process, priority: int) -> None:
    _schedule_threads(process, priority)  # from now on what it starts is as itself
    if process.pid != os.getpid():
        for child in process.children(recursive=True):
            _schedule_threads(child, priority)


def _schedule_threads(process: psutil.Process, priority: int) -> None:
    policy = os.SCHED_RR if priority else os.SCHED_OTHER
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        for thread in process.threads():
            os.sched_setscheduler(thread.id, policy, os.sched_param(priority))
