"""Tests that another commit measures itself, in a worktree that is removed afterwards."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bench.__main__ import main
from tests.bench.against import ROOT, NotMeasured, Tree, checked_out, git, measure, measure_in_turn
from worker.devstack import Servers

pytestmark = pytest.mark.processes  # git

NOWHERE = Servers("postgresql://nowhere/database", "nowhere:9092", "env", "env")
HARNESS = """\
import os, sys, worker
print(worker.__file__, sys.argv[1:], os.environ["PROGRESS_KAFKA_BOOTSTRAP_SERVERS"], "µ")
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Creates a repository whose first commit has no benchmark, and whose second has one."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    commit(tmp_path, {"worker/__init__.py": ""})
    commit(tmp_path, {"tests/__init__.py": "", "tests/bench/__init__.py": "", "tests/bench/__main__.py": HARNESS})
    return tmp_path


def commit(repository: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)
    git(repository, "add", ".")
    author = ("-c", "user.name=one", "-c", "user.email=one@example.org", "-c", "commit.gpgsign=false")
    git(repository, *author, "commit", "--quiet", "--message", "a commit")


def worktrees(repository: Path) -> int:
    return len(git(repository, "worktree", "list").splitlines())


def test_a_tree_measures_itself(repository: Path) -> None:
    """Neither the installed packages nor those in the caller's directory are measured."""
    with checked_out("HEAD", repository) as tree:
        printed = measure(tree, "even", NOWHERE, quick=True)

    assert printed == f"{tree.path}/worker/__init__.py ['--only', 'even', '--quick'] nowhere:9092 µ\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt, NotMeasured])
def test_the_worktree_goes_after_an_error(repository: Path, error: type[BaseException]) -> None:
    trees: list[Tree] = []

    def fail() -> None:
        with checked_out("HEAD", repository) as tree:
            trees.append(tree)
            (tree.path / "new").write_text("")
            raise error

    with pytest.raises(error):
        fail()

    assert [tree.path.exists() for tree in trees] == [False]
    assert worktrees(repository) == 1


@pytest.mark.parametrize(("ref", "reason"), [("no-such-ref", "no such commit"), ("HEAD~1", "no tests/bench")])
def test_a_commit_without_a_benchmark_is_refused(repository: Path, ref: str, reason: str) -> None:
    with pytest.raises(NotMeasured, match=reason), checked_out(ref, repository):
        pass

    assert worktrees(repository) == 1


def test_a_harness_that_fails_yields_no_figures(tmp_path: Path) -> None:
    with pytest.raises(NotMeasured, match="of empty ended with 1"):
        measure(Tree("empty", tmp_path), "even", NOWHERE, quick=True)


@pytest.mark.parametrize("arguments", ["", "--only even --write", "--only even,peers"])
def test_what_cannot_be_compared_is_a_usage_error(arguments: str) -> None:
    result = CliRunner().invoke(main, ["--against", "HEAD", *arguments.split()])

    assert result.exit_code == 2
    assert "--against" in result.output


@pytest.mark.timeout(240)
def test_a_commit_is_compared_figure_by_figure(running: Servers) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("it takes a git repository")
    said: list[str] = []

    with checked_out("HEAD") as theirs:
        comparisons = measure_in_turn("even", theirs, running, turns=1, quick=True, say=said.append)

    assert said == ["even, turn 1 of 1: this tree", f"even, turn 1 of 1: {theirs.name}"]
    measured = {comparison.figure: comparison for comparison in comparisons}
    for figure in ("ours: events/s", "ours: µs/event", "floor: events/s", "ours / floor, spread evenly"):
        assert measured[figure].has_ratio  # a smaller one, such as MB grown, may round to zero in a run this short
        assert measured[figure].ratio > 0
