"""A topic's id is asked for once in some seconds, by one task for all, and kept while Kafka does not tell it."""

import asyncio
from typing import cast
from uuid import UUID, uuid4

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import UnknownTopicOrPartitionError

from worker.learners import current_topic
from worker.learners.current_topic import CurrentTopic

CLIENT = cast(AIOKafkaClient, object())
FIRST, SECOND = uuid4(), uuid4()


class Kafka:
    """Stands in for the question to Kafka."""

    def __init__(self) -> None:
        self.answer: UUID | Exception | None = FIRST
        self.silent = False
        self.asked = 0

    async def fetch_topic_id(self, client: AIOKafkaClient, topic: str) -> UUID | None:
        self.asked += 1
        await asyncio.sleep(3600 if self.silent else 0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    kafka = Kafka()
    monkeypatch.setattr(current_topic, "fetch_topic_id", kafka.fetch_topic_id)
    return kafka


@pytest.fixture
def topic() -> CurrentTopic:
    return CurrentTopic("lesson-events")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_topic, "ASK_EVERY_S", 0)
    monkeypatch.setattr(current_topic, "LONGEST_ANSWER_S", 0.01)


async def test_one_task_asks_for_all(kafka: Kafka, topic: CurrentTopic) -> None:
    assert await asyncio.gather(*(topic.read_id(CLIENT) for _ in range(20))) == [FIRST] * 20
    assert kafka.asked == 1


@pytest.mark.usefixtures("impatient")
async def test_it_is_asked_again(kafka: Kafka, topic: CurrentTopic) -> None:
    await topic.read_id(CLIENT)
    kafka.answer = SECOND

    assert await topic.read_id(CLIENT) == SECOND


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("trouble", ["silence", "an error", "no client"])
async def test_the_id_known_last_is_kept_while_kafka_does_not_tell_it(
    kafka: Kafka, topic: CurrentTopic, trouble: str
) -> None:
    await topic.read_id(CLIENT)
    kafka.silent = trouble == "silence"
    kafka.answer = UnknownTopicOrPartitionError()

    assert await topic.read_id(None if trouble == "no client" else CLIENT) == FIRST


async def test_a_broker_that_is_silent_is_not_asked_at_once_again(
    kafka: Kafka, topic: CurrentTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_topic, "LONGEST_ANSWER_S", 0.01)
    kafka.silent = True

    assert [await topic.read_id(CLIENT), await topic.read_id(CLIENT)] == [None, None]
    assert kafka.asked == 1


async def test_a_caller_that_gives_up_leaves_the_question_to_the_next(kafka: Kafka, topic: CurrentTopic) -> None:
    kafka.silent = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await topic.read_id(CLIENT)
    kafka.silent = False

    assert await topic.read_id(CLIENT) == FIRST
