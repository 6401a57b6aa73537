"""Measures a section on this tree and on another commit, in turn, each with its own harness and on the same servers."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.comparison import Comparison, Readings, compare, read_figures
from worker.devstack import Servers

ROOT = Path(__file__).parents[2]
STOPS_WITHIN_S = 60


class NotMeasured(Exception):
    """Says why there are no figures of a tree."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Holds the name and the path of a checkout, whose own harness measures it."""

    name: str
    path: Path


@contextmanager
def checked_out(ref: str, repository: Path = ROOT) -> Iterator[Tree]:
    """Yields a git worktree of that commit, which is removed when the block ends. Raises `NotMeasured`."""
    commit = git(repository, "rev-parse", "--verify", "--quiet", "--short", "--end-of-options", f"{ref}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="course-progress-bench-") as directory:
        path = Path(directory, "tree")
        try:
            git(repository, "worktree", "add", "--quiet", "--detach", str(path), commit)
            if not (path / "tests/bench/__main__.py").exists():
                raise NotMeasured(f"{ref} has no tests/bench")
            yield Tree(commit, path)
        finally:
            with suppress(NotMeasured):  # it was not added
                git(repository, "worktree", "remove", "--force", str(path))


def git(repository: Path, *arguments: str) -> str:
    """Returns what git prints. Raises `NotMeasured`.

    Ctrl-C in a terminal does not reach git, because it may be the one that removes the worktree.
    """
    command = ["git", "-C", str(repository), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, process_group=0)
    if ended.returncode:
        raise NotMeasured(f"git {' '.join(arguments)}: {ended.stderr.strip() or 'no such commit'}")
    return ended.stdout.strip()


def name_of_this_tree() -> str:
    """Names the commit that is checked out, and whether there are changes to it. Raises `NotMeasured`."""
    return git(ROOT, "describe", "--always", "--dirty", "--exclude=*")


def measure_in_turn(
    section: str, theirs: Tree, running: Servers, turns: int, quick: bool, say: Callable[[str], None]
) -> list[Comparison]:
    """Has both trees measure the section once per turn, the two in alternating order. Raises `NotMeasured`.

    First both measure a little of it: an error comes early, and no turn finds a broker that has done nothing yet.
    """
    ours = Tree("this tree", ROOT)
    for tree in (ours, theirs):
        if not quick:
            say(f"{section}, trial: {tree.name}")
            measure(tree, section, running, quick=True)
    found: dict[Tree, list[Readings]] = {ours: [], theirs: []}
    for turn in range(turns):
        for tree in (ours, theirs) if turn % 2 == 0 else (theirs, ours):
            say(f"{section}, turn {turn + 1} of {turns}: {tree.name}")
            found[tree].append(read_figures(measure(tree, section, running, quick)))
    return compare(found[ours], found[theirs])


def measure(tree: Tree, section: str, running: Servers, quick: bool) -> str:
    """Returns what the tree's own harness prints, in Markdown. Raises `NotMeasured`.

    Its own harness, because another commit may have other modules and other sections' sizes.
    """
    command = [sys.executable, "-m", "tests.bench", "--only", section, *(["--quick"] if quick else [])]
    # A group of its own, so that Ctrl-C in a terminal interrupts it once: through `stop`.
    process = subprocess.Popen(
        command,
        cwd=tree.path,
        env=environment(running),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        process_group=0,
    )
    with process:
        try:
            printed, _ = process.communicate()
        finally:
            stop(process)
    if process.returncode:
        raise NotMeasured(f"the benchmark of {tree.name} ended with {process.returncode}")
    return printed


def environment(running: Servers) -> dict[str, str]:
    """Makes Python import the packages of its working directory before those installed, and find the servers."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    return {**inherited, **running.environment, "PYTHONUTF8": "1"}


def stop(process: subprocess.Popen[str]) -> None:
    """Interrupts the harness if it runs, so that it drops its databases and stops its workers."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOPS_WITHIN_S)
        finally:
            process.kill()
