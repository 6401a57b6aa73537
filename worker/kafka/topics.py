"""Creates missing topics, and looks topics up. In production the owner of the cluster creates them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from worker.errors import SetupError
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain, explain_topic_creation
from worker.kafka.permissions import require_access
from worker.settings import Settings

BROKERS_LEARN_WITHIN_S = 2  # until every broker knows a topic that was created a moment ago
# A dead letter is its record, compressed again, with some headers more. An operator decides when it is deleted.
LARGEST_DEAD_LETTER = 16 * 1024 * 1024
# Dead letters that are sent at once, inflated. The largest there is has 2 MiB (stream/cut_record.py) and its headers.
LARGEST_REQUEST = 8 * 1024 * 1024
FOR_EVER = {"retention.ms": "-1"}
DEAD_LETTERS = {**FOR_EVER, "max.message.bytes": str(LARGEST_DEAD_LETTER)}
LogRanges = Mapping[TopicPartition, tuple[int, int]]  # the first offset that exists, and the one after the last


def build_topics(settings: Settings) -> list[NewTopic]:
    """Describes the topics of this system, as they are created where they are missing."""
    configs: dict[str, dict[str, str]] = {
        settings.lesson_events_topic: {},
        settings.course_catalog_topic: FOR_EVER,
        settings.course_events_topic: {},
        settings.learners_topic: {"cleanup.policy": "compact"},
        settings.dead_letter_topic: DEAD_LETTERS,
    }
    return [
        NewTopic(name, settings.topic_partitions, settings.topic_replication_factor, topic_configs=config)
        for name, config in configs.items()
    ]


async def create_missing(settings: Settings) -> list[str]:
    """Creates the topics that are missing and returns their names. Idempotent; never changes an existing topic.

    Raises KafkaUnavailable, or SetupError with the broker's reason when it refuses.
    """
    async with admin_client(settings) as admin:
        missing = await _find_missing(admin, settings)
        if not missing:
            return []
        response = await admin.create_topics(missing)
    for name, code, *reason in response.topic_errors:
        if problem := explain_topic_creation(name, code, " ".join(filter(None, reason))):
            raise problem
    return [topic.name for topic in missing]


async def require_topics(settings: Settings, *names: str) -> None:
    """Raises SetupError when one of these topics does not exist, KafkaUnavailable when Kafka does not answer.

    Without names it requires all topics of this system. Without this check a consumer would wait 40 s for its topic,
    and so would a producer with its first record.
    """
    required = names or [topic.name for topic in build_topics(settings)]
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
    """Opens an admin client. Raises KafkaUnavailable or SetupError, also for an error of aiokafka in its body."""
    arguments = client_arguments(settings)
    await require_access(arguments, {})  # because the admin client does not say why it cannot connect
    admin = AIOKafkaAdminClient(**arguments)
    try:
        await admin.start()
        yield admin
    except KafkaError as error:
        raise explain(f"Kafka at {settings.kafka_bootstrap_servers}", error) from error
    finally:
        await admin.close()


async def _find_missing(admin: AIOKafkaAdminClient, settings: Settings) -> list[NewTopic]:
    existing = set(await admin.list_topics())
    return [topic for topic in build_topics(settings) if topic.name not in existing]


async def fetch_partitions(settings: Settings, topic: str) -> list[int]:
    """Returns the partitions of a topic, in order.

    Raises SetupError when the topic does not exist, KafkaUnavailable when Kafka does not answer.
    """
    async with admin_client(settings) as admin:
        [described] = await admin.describe_topics([topic])
    if described["error_code"]:
        raise SetupError(f"topic {topic}: {for_code(described['error_code']).__name__}")
    return sorted(partition["partition"] for partition in described["partitions"])
