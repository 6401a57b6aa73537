"""Runs the mock broker inside the confluent-kafka wheel: in memory, one consumer per group, only for the demo."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka.admin import AdminClient

from worker.devstack.process import Say
from worker.settings import Settings


@contextmanager
def run_broker(say: Say) -> Iterator[str]:
    """Yields host:port of a broker that has our topics. It lives as long as the client that created it."""
    owner = AdminClient({"test.mock.num.brokers": 1, "log_level": 0})
    settings = Settings()
    # It has no controller that creates topics, but creates each topic that a client asks about.
    for topic in (
        settings.lesson_events_topic,
        settings.course_catalog_topic,
        settings.course_events_topic,
        settings.dead_letter_topic,
    ):
        owner.list_topics(topic, timeout=10)
    (mock,) = owner.list_topics(timeout=10).brokers.values()
    yield f"{mock.host}:{mock.port}"
