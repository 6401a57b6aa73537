"""What an error of aiokafka means for a worker."""

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupLoadInProgressError,
    KafkaError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
)

from worker.errors import KafkaUnavailable, SetupError
from worker.kafka.failures import explain_consumer_error
from worker.settings import Settings


def test_what_passes_by_itself_is_waited_for_and_the_rest_stops_the_worker() -> None:
    settings = Settings(group_instance_id=None)
    in_a_text = KafkaError(f"Unexpected exception in heartbeat task: {GroupLoadInProgressError()!r}")
    ended = KafkaError(f"Unexpected error during coordination {RequestTimedOutError()!r}")

    passing = [explain_consumer_error(error, settings) for error in (RequestTimedOutError(), in_a_text)]
    stopping = [
        explain_consumer_error(error, settings)
        for error in (GroupAuthorizationFailedError("g"), ended, KafkaError("?"))
    ]

    assert {type(error) for error in passing} == {KafkaUnavailable}
    assert {type(error) for error in stopping} == {SetupError}
    assert "kafka/acls.sh" in str(stopping[0])


@pytest.mark.parametrize(
    "named", ["lessons", {"lessons"}, TopicPartition("lessons", 1)], ids=["topic", "topics", "partition"]
)
def test_a_forbidden_topic_is_named_however_aiokafka_names_it(named: object) -> None:
    stopping = explain_consumer_error(TopicAuthorizationFailedError(named), Settings())

    assert isinstance(stopping, SetupError)
    assert "access to topic lessons:" in str(stopping)


def test_a_static_member_that_kafka_fences_off_is_told_of_the_setting() -> None:
    fenced = KafkaError("Unexpected exception in heartbeat task: UnknownError()")

    assert "PROGRESS_GROUP_INSTANCE_ID=same" in str(explain_consumer_error(fenced, Settings(group_instance_id="same")))
