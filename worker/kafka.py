"""How this system's clients reach Kafka. Whatever connects asks here."""

from typing import Any

from worker.settings import Settings


def client(settings: Settings) -> dict[str, Any]:
    """The arguments that every aiokafka client of these settings takes: where Kafka is, and who we are."""
    return {"bootstrap_servers": settings.kafka_bootstrap_servers}
