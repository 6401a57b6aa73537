"""The command `worker`: the line with which it stops."""

from worker.cli.worker import line


def test_a_bug_that_nobody_foresaw_asks_for_a_report() -> None:
    assert "report it" in line(KeyError("x"))
