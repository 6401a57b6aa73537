"""Callers and what answers them ahead of all other processes: docs/api.md, "API and workers on one machine"."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil


@contextmanager
def ahead(*answering: psutil.Process) -> Iterator[None]:
    """Until the end this process goes before these, each with its children before the next, and they before all others
    (SCHED_RR).

    Raises PermissionError where the kernel does not allow it: it takes CAP_SYS_NICE. Nothing has changed then.
    """
    _schedule(psutil.Process(), [], len(answering) + 1)
    try:
        for priority, process in enumerate(reversed(answering), 1):
            _schedule(process, process.children(recursive=True), priority)
        yield
    finally:
        _schedule(psutil.Process(), [], 0)
        for process in answering:
            _schedule(process, process.children(recursive=True), 0)


def allowed() -> bool:
    try:
        with ahead():
            return True
    except PermissionError:
        return False


def _schedule(process: psutil.Process, children: list[psutil.Process], priority: int) -> None:
    policy = os.SCHED_RR if priority else os.SCHED_OTHER
    for each in (process, *children):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            for thread in each.threads():
                os.sched_setscheduler(thread.id, policy, os.sched_param(priority))
