"""Schedules some processes ahead of all others, as docs/api.md has it for an API and workers on one machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil


@contextmanager
def ahead(*first: psutil.Process) -> Iterator[None]:
    """Gives these processes real-time priority (SCHED_RR) until the end: each before the next, all before all others.

    Their children get it too, except those of this process. Raises PermissionError where the kernel forbids it.
    """
    try:
        for priority, process in enumerate(reversed(first), 1):
            _schedule(process, priority)
        yield
    finally:
        for process in first:
            _schedule(process, 0)


def allowed(*first: psutil.Process) -> bool:
    """Tells whether the kernel lets this process schedule these ahead."""
    try:
        with ahead(*first):
            return True
    except PermissionError:
        return False


def _schedule(process: psutil.Process, priority: int) -> None:
    _schedule_threads(process, priority)  # processes that it starts from now on inherit the priority
    if process.pid != os.getpid():
        for child in process.children(recursive=True):
            _schedule_threads(child, priority)


def _schedule_threads(process: psutil.Process, priority: int) -> None:
    policy = os.SCHED_RR if priority else os.SCHED_OTHER
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        for thread in process.threads():
            os.sched_setscheduler(thread.id, policy, os.sched_param(priority))
