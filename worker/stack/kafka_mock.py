"""The mock broker inside the confluent-kafka wheel: in memory, one consumer a group, for demos alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka.admin import AdminClient

from worker.stack.process import Say


@contextmanager
def broker(say: Say) -> Iterator[str]:
    """Yields host:port of a broker that lives as long as the client that asked for it."""
    owner = AdminClient({"test.mock.num.brokers": 1})
    (mock,) = owner.list_topics(timeout=10).brokers.values()
    yield f"{mock.host}:{mock.port}"
