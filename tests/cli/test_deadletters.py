"""The command `deadletters`, with nothing to show or nowhere to look."""

import pytest

from tests.command_line import run
from tests.processes import environment
from worker.settings import Settings

COMMAND = "deadletters"


async def test_nothing_found_is_no_error(settings: Settings) -> None:
    assert run(COMMAND, "list", **environment(settings)) == (0, "", "no dead letters\n")
    assert run(COMMAND, "list", "--json", **environment(settings)) == (0, "", "no dead letters\n")


@pytest.mark.parametrize("arguments", [["list"], ["show", "0:0"], ["replay"], ["discard", "0:0", "--yes"]], ids=str)
def test_a_missing_topic_is_one_line_that_names_it(settings: Settings, arguments: list[str]) -> None:
    lost = settings.model_copy(update={"dead_letter_topic": "no-such-topic"})

    status, output, errors = run(COMMAND, *arguments, **environment(lost))

    assert (status, output, errors.count("\n")) == (1, "", 1)
    assert "topic no-such-topic does not exist" in errors
