"""The id of the topic is asked for now and then, and remembered while Kafka is away."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka.errors import KafkaConnectionError

from worker.learners import current_topic
from worker.learners.current_topic import CurrentTopic

CLIENT: Any = object()


async def test_it_is_asked_for_once_in_a_while_and_kept_while_kafka_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[UUID | Exception] = [uuid4(), KafkaConnectionError(), uuid4()]
    asked = []

    async def fetch_topic_id(_: object, topic: str) -> UUID:
        asked.append(topic)
        answer = answers[len(asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    now = 100.0
    monkeypatch.setattr(current_topic, "fetch_topic_id", fetch_topic_id)
    monkeypatch.setattr("worker.learners.current_topic.time.monotonic", lambda: now)
    topic = CurrentTopic("lesson-events")

    assert await topic.read_id(None) is None  # not connected yet
    assert [await topic.read_id(CLIENT) for _ in range(3)] == [answers[0]] * 3
    assert len(asked) == 1
    now += current_topic.ASK_EVERY_S
    assert await topic.read_id(CLIENT) == answers[0]
    assert await topic.read_id(CLIENT) == answers[2]
    assert asked == ["lesson-events"] * 3
