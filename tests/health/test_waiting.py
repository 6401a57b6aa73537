"""A worker of several streams says which of them waits, lesson events first."""

from types import SimpleNamespace
from typing import Any

import pytest

from worker.health.waiting import find_wait


def intake(topic: str, waiting_for: str | None) -> Any:
    return SimpleNamespace(stream=SimpleNamespace(topic=topic), waiting_for=waiting_for)


@pytest.mark.parametrize(
    ("lessons", "catalog", "said"),
    [
        (None, None, None),
        ("Kafka is away", None, "Kafka is away"),
        ("Kafka is away", "Kafka is away", "Kafka is away"),
        (None, "the breaker", "catalog: the breaker"),
    ],
)
def test_another_stream_is_named_and_only_when_it_alone_waits(
    lessons: str | None, catalog: str | None, said: str | None
) -> None:
    streams = [intake("catalog", catalog), intake("lessons", lessons)]

    assert find_wait(streams, "lessons") == said
