"""Runs one command for as long as its starter lives; `process.py` starts this file as a process of its own.

The starter holds the other end of standard input. The kernel closes it however the starter ends,
by SIGKILL too, on every POSIX system; then the command is stopped and its directory deleted.
"""

import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
from typing import Any

GRACE_S = 10


def main(stop_signal: str, user: str, directory: str, *command: str) -> int:
    # A service manager ends all processes at once; this one has to tidy up. Not SIG_IGN, which is inherited.
    told: list[int] = []
    for ending in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda number, _: told.append(number))
    as_user: dict[str, Any] = {}
    if user:
        as_user = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    # A group of its own: a shell that runs two programs in turn is stopped together with the one at work.
    server = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, process_group=0, **as_user)
    while server.poll() is None and not is_starter_gone(within_s=0.05):
        pass
    if server.poll() is None:
        stop(server, signal.Signals[stop_signal])
    # The starter, told to end as well, may take a moment longer.
    if is_starter_gone(within_s=GRACE_S if told else 0):
        shutil.rmtree(directory, ignore_errors=True)
    return server.wait()


def is_starter_gone(within_s: float) -> bool:
    return bool(select.select([sys.stdin], [], [], within_s)[0])


def stop(server: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    os.killpg(server.pid, stop_signal)
    try:
        server.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
