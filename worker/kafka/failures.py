"""What Kafka's errors mean to a running worker: wait, or stop with a line that says what to do."""

import re

from aiokafka import errors
from aiokafka.errors import KafkaError

from worker.errors import KafkaUnavailable, SetupError
from worker.kafka.client import failure
from worker.settings import Settings

# aiokafka's background tasks have ended after these: waiting does not bring them back.
ENDED = ("Unexpected error during coordination", "Unexpected error during data retrieval")


def meaning(error: KafkaError | TimeoutError, settings: Settings) -> KafkaUnavailable | SetupError:
    """KafkaUnavailable where waiting helps, else SetupError."""
    what = failure(f"Kafka at {settings.kafka_bootstrap_servers} does not answer", error)
    if isinstance(what, SetupError) or isinstance(error, TimeoutError) or _passes(error):
        return what
    return SetupError(f"Kafka: {error!r}; {_what_to_do(error, settings)}")


def _passes(error: KafkaError) -> bool:
    """aiokafka wraps what a group's coordinator answered into a text, in which the error's class is named."""
    text = " ".join(map(str, error.args))
    named = [getattr(errors, name, None) for name in re.findall(r"\w+Error", text)]
    return error.retriable or (not text.startswith(ENDED) and any(getattr(e, "retriable", False) for e in named))


def _what_to_do(error: KafkaError, settings: Settings) -> str:
    if settings.group_instance_id and "UnknownError" in repr(error):  # as aiokafka calls code 82, FENCED_INSTANCE_ID
        return (
            f"does another worker run with PROGRESS_GROUP_INSTANCE_ID={settings.group_instance_id}? "
            "Give each an id of its own. Nothing is lost"
        )
    return "a restart goes on from what is stored; if it happens again, see the broker's log"
