"""A process of several streams says which of them waits, the first one first."""

from types import SimpleNamespace
from typing import Any

import pytest

from worker.decode import decode
from worker.health.waiting import find_wait
from worker.stream.stream import Stream


def intake(group: str, waiting_for: str | None) -> Any:
    return SimpleNamespace(stream=Stream("lessons", group, decode), waiting_for=waiting_for)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (None, None, None),
        ("Kafka is away", None, "Kafka is away"),
        ("Kafka is away", "Kafka is away", "Kafka is away"),
        (None, "the breaker", "history/lessons: the breaker"),
    ],
)
def test_another_stream_is_named_and_only_when_it_alone_waits(
    first: str | None, second: str | None, said: str | None
) -> None:
    """Both read the same topic, each in a group of its own."""
    assert find_wait([intake("progress", first), intake("history", second)]) == said
