"""Creates the topics that are missing. In production they belong to whoever owns the cluster."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from worker.errors import SetupError
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain, explain_forbidden
from worker.kafka.permissions import require_access
from worker.settings import Settings

BROKERS_LEARN_WITHIN_S = 2  # of a topic that was created a moment ago
# Kept until somebody has looked at them. A dead letter is its record, compressed anew, and some headers.
LARGEST_DEAD_LETTER = 16 * 1024 * 1024
LARGEST_INFLATED = 1024 * 1024 * 1024
DEAD_LETTERS = {"retention.ms": "-1", "max.message.bytes": str(LARGEST_DEAD_LETTER)}


def wanted(settings: Settings) -> list[NewTopic]:
    """The topics of this system."""
    configs: dict[str, dict[str, str]] = {
        settings.lesson_events_topic: {},
        settings.course_events_topic: {},
        settings.dead_letter_topic: DEAD_LETTERS,
    }
    return [
        NewTopic(name, settings.topic_partitions, settings.topic_replication_factor, topic_configs=config)
        for name, config in configs.items()
    ]


async def create_missing(settings: Settings) -> list[str]:
    """The names of the topics it created. Idempotent; never changes one that is there.

    Raises KafkaUnavailable, or SetupError when the broker refuses (its reason says why).
    """
    async with admin_client(settings) as admin:
        missing = await _missing(admin, settings)
        if not missing:
            return []
        response = await admin.create_topics(missing)
    for name, code, *reason in response.topic_errors:
        if code == TopicAuthorizationFailedError.errno:
            raise SetupError(explain_forbidden(f"to see or create topic {name}"))
        if code not in (0, TopicAlreadyExistsError.errno):
            raise SetupError(f"topic {name} cannot be created: {reason or for_code(code).__name__}")
    return [topic.name for topic in missing]


async def require_topics(settings: Settings, *names: str) -> None:
    """Raises SetupError when one of these, by default all of this system, is missing, KafkaUnavailable when Kafka is.

    Without it a consumer would wait for its topic, 40 s, and a producer at the first record.
    """
    required = names or [topic.name for topic in wanted(settings)]
    async with admin_client(settings) as admin:
        for _ in range(BROKERS_LEARN_WITHIN_S * 10):
            existing = set(await admin.list_topics())
            missing = [name for name in required if name not in existing]
            if not missing:
                return
            await asyncio.sleep(0.1)
    raise SetupError(
        f"topic {', '.join(missing)} does not exist: run `course-progress topics`, or see the settings PROGRESS_…_TOPIC"
    )


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    reach = client_arguments(settings)
    await require_access(reach, {})  # for its reasons: the admin client only says that it cannot connect
    admin = AIOKafkaAdminClient(**reach)
    try:
        await admin.start()
        yield admin
    except KafkaError as error:
        raise explain(f"Kafka at {settings.kafka_bootstrap_servers}", error) from error
    finally:
        await admin.close()


async def _missing(admin: AIOKafkaAdminClient, settings: Settings) -> list[NewTopic]:
    existing = set(await admin.list_topics())
    return [topic for topic in wanted(settings) if topic.name not in existing]


async def fetch_partitions(settings: Settings, topic: str) -> list[int]:
    """The partitions of a topic, in order. Raises SetupError when it is missing, KafkaUnavailable when Kafka is."""
    async with admin_client(settings) as admin:
        [described] = await admin.describe_topics([topic])
    if described["error_code"]:
        raise SetupError(f"topic {topic}: {for_code(described['error_code']).__name__}")
    return sorted(partition["partition"] for partition in described["partitions"])
