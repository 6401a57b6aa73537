"""Creates the topics that are missing. In production they belong to whoever owns the cluster."""

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from worker.errors import KafkaUnavailable, SetupError
from worker.settings import Settings

KEEP_FOR_EVER = {"retention.ms": "-1"}


def wanted(settings: Settings) -> list[NewTopic]:
    """The topics of this system. Dead letters are kept until somebody has looked at them."""
    configs: dict[str, dict[str, str]] = {
        settings.lesson_events_topic: {},
        settings.course_events_topic: {},
        settings.dead_letter_topic: KEEP_FOR_EVER,
    }
    return [
        NewTopic(name, settings.topic_partitions, settings.topic_replication_factor, topic_configs=config)
        for name, config in configs.items()
    ]


async def create_missing(settings: Settings) -> list[str]:
    """The names of the topics it created. Idempotent; never changes one that is there.

    Raises KafkaUnavailable, or SetupError when the broker refuses (its reason says why).
    """
    servers = settings.kafka_bootstrap_servers
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    try:
        await admin.start()
        existing = set(await admin.list_topics())
        missing = [topic for topic in wanted(settings) if topic.name not in existing]
        if not missing:
            return []
        response = await admin.create_topics(missing)
    except KafkaError as error:
        raise KafkaUnavailable(f"Kafka at {servers} does not answer: {error!r}") from error
    finally:
        await admin.close()
    for name, code, *reason in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise SetupError(f"topic {name} cannot be created: {reason or for_code(code).__name__}")
    return [topic.name for topic in missing]
