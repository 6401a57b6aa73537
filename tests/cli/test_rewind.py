"""The command `rewind`: what it refuses before it asks a server."""

import pytest

from tests.command_line import NOWHERE, run

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    "arguments",
    [["--to", "yesterday"], ["--to", "5"], ["--to", "-5", "--partition", "1"], []],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line_and_status_2(arguments: list[str]) -> None:
    status, output, errors = run("rewind", *arguments, **NOWHERE)

    assert (status, output, errors.count("\n")) == (2, "", 1)


def test_kafka_that_is_away_is_one_line_and_status_1() -> None:
    status, output, errors = run("rewind", "--to", "earliest", **NOWHERE)

    assert (status, output, errors.count("\n")) == (1, "", 1)
