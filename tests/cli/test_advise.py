"""The command: whether enough workers run is its exit status."""

import json
from typing import Any

import pytest

from tests.command_line import NOWHERE, run
from tests.factories import histories
from tests.processes import Workers, environment, eventually
from tests.topics import publish
from worker.settings import Settings


@pytest.mark.processes
def test_what_it_cannot_look_at_is_one_line_and_status_3() -> None:
    status, output, errors = run("advise", **NOWHERE)

    assert (status, output, errors.count("\n")) == (3, "", 1)


async def test_too_few_is_status_1_and_enough_is_0(settings: Settings, workers: Workers) -> None:
    await publish(settings, histories(learners=5, seed=3))

    status, output, _ = run("advise", "--json", **environment(settings))

    advice: dict[str, Any] = json.loads(output)
    assert (status, advice["workers"], advice["running"], advice["too_few"]) == (1, 1, 0, True)
    worker = workers.start()

    async def ready() -> bool:
        return (await worker.get("/ready")).status_code == 200

    await eventually(ready)
    status, output, _ = run("advise", **environment(settings))
    assert status == 0
    assert "events/s come in" in output
