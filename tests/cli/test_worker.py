"""The command `worker`: the line with which it stops."""

from worker.cli.worker import describe_stop


def test_a_bug_that_nobody_foresaw_asks_for_a_report() -> None:
    assert "report it" in describe_stop(KeyError("x"))
