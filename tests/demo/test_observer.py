"""What an operator sees from outside."""

import pytest

from events.kinds import Kind
from events.producer import Producer
from tests.factories import record
from tests.outages import swallowing
from tests.processes import eventually
from worker.deadletters.discard import discard
from worker.deadletters.letter import Position
from worker.deadletters.writer import DeadLetterWriter
from worker.demo.certificates import Certificates
from worker.demo.observer import Observer
from worker.kafka.client import client_arguments
from worker.settings import Settings
from worker.stream.outcome import Rejected


async def test_what_became_of_a_dead_letter_is_not_counted_as_one(settings: Settings) -> None:
    async with Observer(settings, Certificates(settings, remember=True), remember=True) as observer:
        async with Producer(**client_arguments(settings)) as producer:
            await DeadLetterWriter(settings, producer, settings.consumer_group).write(
                [Rejected(record(), "why", Kind.SCHEMA)]
            )
        await discard(settings, [Position(partition, 0) for partition in range(settings.topic_partitions)])

        async def all_seen() -> bool:
            await observer.look([])
            return observer.caught_up

        await eventually(all_seen)

        assert (observer.dead_letters, observer.reasons) == (1, {"why": 1})


async def test_a_server_that_does_not_answer_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.demo.observer.TIMEOUT_S", 0.3)
    async with (
        swallowing(settings) as (proxy, behind),
        Observer(behind, Certificates(behind, remember=True), remember=True) as observer,
    ):
        await observer.look([])
        before = observer.trouble
        proxy.swallow(0)
        await observer.look([])

        assert (before, observer.trouble) == ("", "PostgreSQL does not answer")
