"""Each role may do its own, and nothing else."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaError as KafkaCode
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import (
    AdminClient,
)

from events.learners import LearnerDescribed
from events.producer import OutgoingRecord, Producer, PublishFailed
from tests.kafka_security.users import (
    CATALOG,
    COURSES,
    DEAD,
    EFFECTS_GROUP,
    GROUP,
    LESSONS,
    OF_WORKER,
    PEOPLE,
    SCRAM,
    TOPICS,
    names,
    user,
)
from tests.processes import DEADLINE_S, Workers, eventually
from tests.secured import PASSWORD, Secured
from worker.deadletters.letter import Position
from worker.deadletters.replay import replay
from worker.deadletters.selection import Selection
from worker.errors import SetupError
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain
from worker.kafka.permissions import effects_permissions, require_access, worker_permissions
from worker.kafka.topic_settings import fetch_topics
from worker.learners.descriptions import Descriptions
from worker.learners.service import Accepted, ProgressService
from worker.operations.watch import Operations
from worker.repair.rewind import rewind

READ, WRITE = {"READ", "DESCRIBE"}, {"WRITE", "DESCRIBE"}
GROUPS_OF_EFFECTS = (EFFECTS_GROUP, f"{EFFECTS_GROUP}-learners", f"{EFFECTS_GROUP}-lessons")
MAY: dict[str, dict[str, set[str]]] = {
    "player": {LESSONS: WRITE},
    "worker": {LESSONS: READ, CATALOG: READ, COURSES: WRITE, DEAD: WRITE, GROUP: READ},
    "effects": {**dict.fromkeys((COURSES, PEOPLE, LESSONS, *GROUPS_OF_EFFECTS), READ), DEAD: WRITE},
    "registrar": {PEOPLE: WRITE},
    "certificates": {COURSES: READ, "certificates-1": READ},
    "operator": {
        **dict.fromkeys((LESSONS, CATALOG, PEOPLE, DEAD), READ | WRITE),
        **dict.fromkeys((COURSES, GROUP, *GROUPS_OF_EFFECTS), READ),
    },
    "api": {LESSONS: WRITE, CATALOG: WRITE, PEOPLE: WRITE, DEAD: READ | WRITE, GROUP: {"DESCRIBE"}},
    "nobody": {},
}
GROUPS = (GROUP, *GROUPS_OF_EFFECTS, "certificates-1", "payments")
STARTING = (KafkaCode.NOT_COORDINATOR, KafkaCode.COORDINATOR_NOT_AVAILABLE, KafkaCode.COORDINATOR_LOAD_IN_PROGRESS)


@pytest.mark.parametrize("role", MAY)
def test_a_role_may_do_its_own_and_nothing_else(broker: Secured, role: str) -> None:
    """As the broker tells it: of each topic and group, and of the cluster, every operation there is."""
    admin = AdminClient(
        {
            "bootstrap.servers": broker.sasl,
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(broker.authority),
            "sasl.mechanism": SCRAM,
            "sasl.username": role,
            "sasl.password": PASSWORD,
        }
    )
    found = {
        **admin.describe_topics(TopicCollection(list(TOPICS)), include_authorized_operations=True),
        **describe_groups(admin),
        "the cluster": admin.describe_cluster(include_authorized_operations=True),
    }

    assert {what: operations(future) for what, future in found.items()} == {
        what: MAY[role].get(what, set()) for what in found
    }


def describe_groups(admin: AdminClient) -> dict[str, Any]:
    """Describes GROUPS, as soon as a broker that has just started coordinates them."""
    end = time.monotonic() + DEADLINE_S
    while True:
        described = admin.describe_consumer_groups(list(GROUPS), include_authorized_operations=True)
        errors = [future.exception(timeout=30) for future in described.values()]
        if not any(error and error.args[0].code() in STARTING for error in errors) or time.monotonic() > end:
            return dict(described)
        time.sleep(0.1)


def operations(description: Any) -> set[str]:
    try:
        return {operation.name for operation in description.result(timeout=30).authorized_operations or []}
    except KafkaException as error:
        if error.args[0].code() not in (KafkaCode.TOPIC_AUTHORIZATION_FAILED, KafkaCode.GROUP_AUTHORIZATION_FAILED):
            raise
        return set()


@pytest.mark.parametrize("role", MAY)
async def test_a_role_reads_and_writes_its_own_topics_and_no_others(broker: Secured, role: str) -> None:
    async with Producer(broker.admin) as producer:
        await producer.send_all([nothing(topic) for topic in TOPICS])
    reach = client_arguments(user(broker, role))

    written = await asyncio.gather(*(writes(reach, topic) for topic in TOPICS))
    read = await asyncio.gather(*(reads(reach, topic) for topic in TOPICS))

    assert dict(zip(TOPICS, written, strict=True)) == {t: "WRITE" in MAY[role].get(t, ()) for t in TOPICS}
    assert dict(zip(TOPICS, read, strict=True)) == {t: "READ" in MAY[role].get(t, ()) for t in TOPICS}


def nothing(topic: str) -> OutgoingRecord:
    """A record that every reader skips."""
    return OutgoingRecord(topic, b"nothing", None, [])


async def writes(reach: dict[str, Any], topic: str) -> bool:
    try:
        async with Producer(**reach) as producer:
            await producer.send_all([nothing(topic)])
    except PublishFailed as error:
        if not isinstance(explain("refused", error), SetupError):
            raise
        return False
    return True


async def reads(reach: dict[str, Any], topic: str) -> bool:
    consumer = AIOKafkaConsumer(topic, **reach, auto_offset_reset="earliest")
    try:
        async with asyncio.timeout(30):
            await consumer.start()
            await consumer.getone()
    except KafkaError as error:
        if not isinstance(explain("refused", error), SetupError):
            raise
        return False
    finally:
        await consumer.stop()
    return True


@pytest.mark.parametrize(("role", "missing"), [("api", set()), ("player", {"group", "dead_letters"})])
async def test_an_api_writes_and_sees_what_its_role_allows_and_says_what_is_missing(
    broker: Secured, database_url: str, role: str, missing: set[str]
) -> None:
    settings = user(broker, role, database_url=database_url, apply_deadline_s=0.1)
    async with ProgressService(settings) as service, Operations(settings) as operations:

        async def seen() -> bool:
            return (await operations.snapshot()).missing.keys() == missing

        await eventually(seen)
        written = await service.update_last_accessed(uuid4(), uuid4())

    assert isinstance(written, Accepted)  # Kafka has it, and no worker runs


async def test_an_api_replays_dead_letters(broker: Secured) -> None:
    value = f'{{"id": "1", "type": "CourseAccessed", "time": "2026-11-22T23:10:00Z", "user_id": "{uuid4()}"'
    value += f', "course_id": "{uuid4()}"}}'
    headers = [("dlq_topic", LESSONS.encode()), ("dlq_partition", b"0"), ("dlq_offset", b"0")]
    async with Producer(broker.admin) as producer:
        [stored] = await producer.send_all([OutgoingRecord(DEAD, None, value.encode(), headers)])
    named = Selection(positions={Position(stored.partition, stored.offset)})

    tally = await replay(user(broker, "api"), named, rate=100)

    assert tally.replayed == 1


async def test_an_operator_rewinds_each_stream(broker: Secured, database_url: str) -> None:
    settings = user(broker, "operator", database_url=database_url)
    of_effects = zip((COURSES, PEOPLE, LESSONS), GROUPS_OF_EFFECTS, strict=True)
    for topic, group in ((LESSONS, GROUP), (CATALOG, settings.catalog_group), *of_effects):
        moves = await rewind(settings, "earliest", [], topic=topic, group=group)

        assert {move.tp.topic for move in moves} == {topic}


async def test_what_a_worker_may_not_do_is_told_before_it_takes_anything(broker: Secured) -> None:
    with pytest.raises(SetupError) as refused:
        await require_access(client_arguments(user(broker, "api")), worker_permissions(names()))

    assert f"Read on topic {LESSONS}, Read on topic {CATALOG}, Write on topic {COURSES}:" in str(refused.value)
    assert DEAD not in str(refused.value)


async def test_what_effects_needs_is_what_its_role_has_and_neither_a_players_nor_a_certificate_services(
    broker: Secured,
) -> None:
    needed = effects_permissions(names(), lesson_events=True)
    await require_access(client_arguments(user(broker, "effects")), needed)

    with pytest.raises(SetupError, match=f"Read on topic {PEOPLE}, Write on topic {DEAD}, Read on topic {LESSONS}:"):
        await require_access(client_arguments(user(broker, "certificates")), needed)


async def test_a_registrar_describes_learners_and_a_player_does_not(broker: Secured) -> None:
    event = LearnerDescribed(user_id=uuid4(), name="Zuleikha Quisling")
    async with Descriptions(user(broker, "registrar")) as descriptions:
        assert await descriptions.publish(event)

    async with Descriptions(user(broker, "player")) as descriptions:
        with pytest.raises(SetupError, match=PEOPLE) as refused:
            await descriptions.publish(event)
    assert "Zuleikha" not in str(refused.value)


async def test_a_worker_in_a_group_that_is_not_its_own_ends(broker: Secured, database_url: str) -> None:
    with Workers(user(broker, "worker", consumer_group="payments", database_url=database_url)) as workers:
        worker = workers.start()

        assert worker.wait() == 1
        [reason] = worker.reasons
        assert "group payments" in reason


async def test_a_worker_that_may_not_see_the_topics_settings_says_so_in_one_line_and_works(
    broker: Secured, database_url: str
) -> None:
    with Workers(user(broker, "worker", database_url=database_url)) as workers:
        worker = workers.start()
        ready = await worker.get("/ready")

        assert ready.json()["warnings"] == []
        [line] = [line for line in worker.log.splitlines() if "DescribeConfigs" in line]
        assert f"{LESSONS}, {DEAD}" in line
        assert worker.stop() == 0


async def test_a_worker_that_was_allowed_to_sees_the_topics_settings(broker: Secured) -> None:
    await asyncio.to_thread(broker.allow, "worker", *OF_WORKER, "--topic-settings", user="looker")
    settings = user(broker, "looker")

    async def seen() -> bool:
        try:
            return [topic.name for topic in await fetch_topics(settings)] == [LESSONS, DEAD, CATALOG]
        except SetupError:  # the broker has not learned of it yet
            return False

    await eventually(seen)
