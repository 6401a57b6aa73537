"""Runs one command for as long as its starter lives; `process.py` starts this file as a process of its own.

The starter holds the other end of standard input. The kernel closes that end when the starter ends, by SIGKILL too, on
every POSIX system. Then the keeper stops the command and deletes its directory.
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
    """Runs the command until it or the starter ends; returns its status. `user` may be empty.

    Once the starter has ended, deletes the directory.
    """
    # A service manager ends all processes at once, but this one must clean up. SIG_IGN would be inherited.
    signals: list[int] = []
    for ending in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda number, _: signals.append(number))
    as_user: dict[str, Any] = {}
    if user:
        as_user = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    # In a process group of its own, so that a shell is stopped together with the program that it runs.
    server = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, process_group=0, **as_user)
    while server.poll() is None and not is_starter_gone(within_s=0.05):
        pass
    if server.poll() is None:
        stop(server, signal.Signals[stop_signal])
    # The starter got the same signal, and may end a moment later.
    if is_starter_gone(within_s=GRACE_S if signals else 0):
        shutil.rmtree(directory, ignore_errors=True)
    return server.wait()


def is_starter_gone(within_s: float) -> bool:
    """Says whether the starter has ended; waits for that at most `within_s` seconds."""
    return bool(select.select([sys.stdin], [], [], within_s)[0])


def stop(server: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    """Sends the signal to the command's process group, and SIGKILL if it has not ended after GRACE_S."""
    os.killpg(server.pid, stop_signal)
    try:
        server.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
