"""The mock broker inside the confluent-kafka wheel: in memory, one consumer a group, for demos alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka.admin import AdminClient

from worker.devstack.process import Say
from worker.settings import Settings


@contextmanager
def run_broker(say: Say) -> Iterator[str]:
    """Yields host:port of a broker that lives as long as the client that asked for it. It has our topics."""
    owner = AdminClient({"test.mock.num.brokers": 1, "log_level": 0})
    settings = Settings()
    # It has no controller to create topics, and makes those that it is asked about.
    for topic in (settings.lesson_events_topic, settings.course_events_topic, settings.dead_letter_topic):
        owner.list_topics(topic, timeout=10)
    (mock,) = owner.list_topics(timeout=10).brokers.values()
    yield f"{mock.host}:{mock.port}"
