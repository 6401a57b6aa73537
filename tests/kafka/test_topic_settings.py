"""Which settings of topics a worker warns of."""

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.processes import eventually
from worker.kafka.topic_settings import TopicSettings, find_dangers, warn_of_topics
from worker.kafka.topics import admin_client
from worker.settings import Settings

WEEK_MS = 604_800_000


def events(**values: object) -> TopicSettings:
    return build("lessons", values)


def letters(**values: object) -> TopicSettings:
    return build("dead", values)


def versions(**values: object) -> TopicSettings:
    return build("catalog", values)


def build(name: str, values: dict[str, object]) -> TopicSettings:
    """Builds a topic from the changed ones of its settings, without their prefix."""
    changed = {"policy": "delete", "ms": -1, "bytes": -1} | values
    prefixes = {"policy": "cleanup.", "ms": "retention.", "bytes": "retention."}
    return TopicSettings(name, {f"{prefixes[key]}{key}": str(value) for key, value in changed.items()})


@pytest.mark.parametrize(
    ("lesson_events", "dead_letters"),
    [
        (events(), letters()),
        (events(ms=WEEK_MS), letters()),
        (events(ms=WEEK_MS), letters(ms=WEEK_MS)),
        (events(ms=WEEK_MS), letters(ms=WEEK_MS + 1)),
        (events(bytes=10), letters(bytes=10)),
        (events(), letters(policy="", ms=5)),  # without a policy nothing is deleted
        (TopicSettings("lessons", {}), letters(ms=5)),  # a service that is not Kafka tells less
        (events(), TopicSettings("dead", {})),
    ],
)
def test_topics_that_keep_what_they_should_are_not_mentioned(
    lesson_events: TopicSettings, dead_letters: TopicSettings
) -> None:
    assert list(find_dangers(lesson_events, dead_letters, versions())) == []


@pytest.mark.parametrize(
    ("lesson_events", "dead_letters", "named"),
    [
        (events(), letters(ms=60_000), ("dead", "retention.ms=60000")),
        (events(ms=WEEK_MS), letters(ms=WEEK_MS - 1), ("dead", f"retention.ms={WEEK_MS - 1}")),
        (events(), letters(ms=0), ("dead", "retention.ms=0")),
        (events(), letters(bytes=1000), ("dead", "retention.bytes=1000")),
        (events(bytes=1001), letters(bytes=1000), ("dead", "retention.bytes=1000")),
        (events(), letters(policy="compact"), ("dead", "cleanup.policy=compact")),
        (events(), letters(policy="compact", ms=60_000), ("dead", "cleanup.policy=compact")),
        (events(), letters(policy="compact,delete"), ("dead", "cleanup.policy=compact,delete")),
        (events(policy="compact"), letters(), ("lessons", "cleanup.policy=compact")),
        (events(policy="delete,compact"), letters(), ("lessons", "cleanup.policy=delete,compact")),
    ],
)
def test_one_warning_names_topic_and_setting(
    lesson_events: TopicSettings, dead_letters: TopicSettings, named: tuple[str, str]
) -> None:
    [warning] = find_dangers(lesson_events, dead_letters, versions())

    assert warning.startswith(f"topic {named[0]} has {named[1]}")
    assert "\n" not in warning


def test_each_dangerous_setting_has_a_warning_of_its_own() -> None:
    found = list(find_dangers(events(policy="compact"), letters(policy="compact,delete", ms=1, bytes=1), versions()))

    assert [warning.split(":")[0].split(",")[0] for warning in found] == [
        "topic lessons has cleanup.policy=compact",
        "topic dead has cleanup.policy=compact",
        "topic dead has retention.ms=1",
        "topic dead has retention.bytes=1",
    ]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"policy": "compact"}, "cleanup.policy=compact"),
        ({"policy": "compact,delete"}, "cleanup.policy=compact,delete"),
        ({"ms": WEEK_MS}, f"retention.ms={WEEK_MS}"),
        ({"bytes": 1}, "retention.bytes=1"),
    ],
)
def test_versions_of_courses_are_kept_for_ever_and_all_of_them(changed: dict[str, object], named: str) -> None:
    [warning] = find_dangers(events(), letters(), versions(**changed))

    assert warning.startswith(f"topic catalog has {named}:")


def test_of_a_topic_whose_settings_are_not_told_nothing_is_said() -> None:
    assert list(find_dangers(events(), letters(), TopicSettings("catalog", {}))) == []


async def test_the_topics_that_this_system_creates_need_no_warning(settings: Settings) -> None:
    assert await warn_of_topics(settings) == []


async def test_what_kafka_says_of_the_topics_is_warned_of(settings: Settings) -> None:
    forgetful = {"retention.ms": "60000", "retention.bytes": "1000000"}
    compacted = {"cleanup.policy": "compact"}
    async with admin_client(settings) as admin:
        for topic, values in ((settings.dead_letter_topic, forgetful), (settings.lesson_events_topic, compacted)):
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, values)])

    async def all_is_known() -> bool:
        return len(await warn_of_topics(settings)) == 3

    await eventually(all_is_known)
    on_events, *on_letters = await warn_of_topics(settings)

    assert on_events.startswith(f"topic {settings.lesson_events_topic} has cleanup.policy=compact:")
    assert [warning.split(",")[0] for warning in on_letters] == [
        f"topic {settings.dead_letter_topic} has {setting}"
        for setting in ("retention.ms=60000", "retention.bytes=1000000")
    ]


async def test_a_topic_that_is_not_there_stops_nobody(settings: Settings) -> None:
    assert await warn_of_topics(settings.model_copy(update={"dead_letter_topic": "not-there"})) == []
