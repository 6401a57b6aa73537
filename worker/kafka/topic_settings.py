"""Warns of settings by which Kafka deletes events, versions of courses or dead letters that are still needed.

Topics belong to whoever owns the cluster: a worker reads their settings, and never changes them.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import structlog
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAuthorizationFailedError, for_code

from worker.errors import KafkaUnavailable, SetupError
from worker.kafka.failures import explain, explain_forbidden
from worker.kafka.topics import admin_client
from worker.settings import Settings

log = structlog.get_logger("kafka")

POLICY, RETENTIONS = "cleanup.policy", ("retention.ms", "retention.bytes")
ENDLESS = -1


class TopicSettings(NamedTuple):
    """Holds a topic's name, and its values of POLICY and RETENTIONS as far as Kafka has told them."""

    name: str
    values: Mapping[str, str]

    @property
    def policies(self) -> list[str]:
        return self.values.get(POLICY, "delete").split(",")


async def warn_of_topics(settings: Settings) -> list[str]:
    """Logs a warning for each dangerous setting of these topics, and returns the warnings.

    Where Kafka does not show the settings, one line of the log says so. That does no harm, so it stops nobody.
    """
    try:
        topics = await fetch_topics(settings)
    except (KafkaUnavailable, SetupError) as error:
        log.warning("the settings of the topics are not known", reason=str(error))
        return []
    warnings = list(find_dangers(*topics))
    for warning in warnings:
        log.warning("a topic does not keep what it should", reason=warning)
    return warnings


async def fetch_topics(settings: Settings) -> list[TopicSettings]:
    """Fetches the settings of the topics of lesson events, of dead letters and of versions of courses.

    Raises SetupError where Kafka's ACLs do not allow it, KafkaUnavailable for any other reason.
    """
    names = (settings.lesson_events_topic, settings.dead_letter_topic, settings.course_catalog_topic)
    wanted = dict.fromkeys((POLICY, *RETENTIONS), "")
    async with admin_client(settings) as admin:
        [answer] = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in names]
        )
    errors = {name: for_code(code) for code, _, _, name, _ in answer.resources if code}
    if refused := [name for name, error in errors.items() if error is TopicAuthorizationFailedError]:
        raise SetupError(explain_forbidden(f"DescribeConfigs on topic {', '.join(refused)}"))
    for name, error in errors.items():
        raise explain(f"the settings of topic {name}", error())
    found = {
        name: TopicSettings(name, {setting: value for setting, value, *_ in entries if value is not None})
        for _, _, _, name, entries in answer.resources
    }
    return [found[name] for name in names]


def find_dangers(lesson_events: TopicSettings, dead_letters: TopicSettings, catalog: TopicSettings) -> Iterator[str]:
    """Finds each setting by which Kafka deletes what is still needed, as one line with what to do. Pure."""
    for topic, what in ((lesson_events, "event"), (dead_letters, "dead letter"), (catalog, "version of a course")):
        if "compact" in topic.policies:
            yield (
                f"topic {topic.name} has {POLICY}={topic.values[POLICY]}: Kafka deletes every {what} but the last of "
                f"each key. Set {POLICY}=delete"
            )
    if "delete" in dead_letters.policies:
        for setting in RETENTIONS:
            if _keeps_less(dead_letters, lesson_events, setting):
                yield (
                    f"topic {dead_letters.name} has {setting}={dead_letters.values[setting]}, and {lesson_events.name} "
                    f"{lesson_events.values[setting]}: Kafka deletes dead letters sooner than events. Set {setting}=-1 "
                    f"on {dead_letters.name}"
                )

    for setting in RETENTIONS if "delete" in catalog.policies else ():
        if int(catalog.values.get(setting, ENDLESS)) != ENDLESS:
            yield (
                f"topic {catalog.name} has {setting}={catalog.values[setting]}: Kafka deletes versions of courses, "
                f"without which a rebuild from the log decides otherwise. Set {setting}=-1"
            )


def _keeps_less(topic: TopicSettings, other: TopicSettings, setting: str) -> bool:
    if setting not in topic.values or setting not in other.values:
        return False
    kept, kept_by_other = int(topic.values[setting]), int(other.values[setting])
    return kept != ENDLESS and (kept_by_other == ENDLESS or kept < kept_by_other)
