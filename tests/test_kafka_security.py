"""A real broker with TLS, SASL and ACLs: whoever may do something can, and nobody else."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaError as KafkaCode
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
)
from rich.progress import Progress as Shown

from events import CourseCompleted, CourseEventSubscriber, LessonCompleted, LessonEventPublisher
from events.producer import OutgoingRecord, Producer, PublishFailed
from tests import secured
from tests.secured import ACLS, CLIENT_SECRET, KEY_PASSWORD, MARKED, PASSWORD, Endpoint, Secured, token_endpoint
from tests.workers import Workers, environment, eventually
from worker import access
from worker.access import AccessWatch, of_worker, require_access
from worker.errors import KafkaUnavailable, SetupError
from worker.kafka import client, failure
from worker.letters import Position, Selection
from worker.ops import Operations
from worker.replay import replay
from worker.service import Accepted, ProgressService
from worker.settings import Settings
from worker.stack.kafka_jars import find_jars, find_java
from worker.stack.process import Unavailable
from worker.topics import create_missing

LESSONS, COURSES, DEAD, OTHER = TOPICS = "lessons", "courses", "lessons.dead", "payments"
GROUP = "progress"
NAMES = ("--lesson-events", LESSONS, "--course-events", COURSES, "--dead-letters", DEAD)
OF_WORKER = (*NAMES, "--group", GROUP)
ROLES = {
    "player": NAMES,
    "worker": OF_WORKER,
    "certificates": (*NAMES, "--group", "certificates-"),
    "operator": OF_WORKER,
    "api": OF_WORKER,
}
USERS = dict.fromkeys([*ROLES, "leaver", "goer", "nobody"], PASSWORD)
SCRAM = "SCRAM-SHA-256"


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secured]:
    try:
        find_java()
        find_jars(print)
    except Unavailable as reason:
        if os.environ.get("REQUIRE_SERVERS"):
            raise
        pytest.skip(str(reason))
    with secured.secured(tmp_path_factory.mktemp("secured"), USERS) as started:
        for lessons in (LESSONS, OTHER):
            await create_missing(names(kafka_bootstrap_servers=started.admin, lesson_events_topic=lessons))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda role: started.allow(role, *ROLES[role]), ROLES))
        yield started


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with token_endpoint() as started:
        yield started


def names(**more: Any) -> Settings:
    own = {
        "lesson_events_topic": LESSONS,
        "course_events_topic": COURSES,
        "dead_letter_topic": DEAD,
        "consumer_group": GROUP,
        "topic_partitions": 2,
        "session_timeout_s": 6,
        "http_port": 0,
        "environment": "production",
    }
    return Settings(**(own | more))


def user(broker: Secured, name: str, mechanism: str = SCRAM, password: str = PASSWORD, **more: Any) -> Settings:
    own = {
        "kafka_bootstrap_servers": broker.sasl,
        "kafka_security_protocol": "SASL_SSL",
        "kafka_ssl_ca_file": broker.authority,
        "kafka_sasl_mechanism": mechanism,
        "kafka_sasl_username": name,
        "kafka_sasl_password": password,
    }
    return names(**(own | more))


def with_token(broker: Secured, endpoint: Endpoint, secret: str = CLIENT_SECRET, **more: Any) -> Settings:
    own = {
        "kafka_sasl_username": None,
        "kafka_sasl_password": None,
        "kafka_oauth_token_url": endpoint.url,
        "kafka_oauth_client_id": "worker",
        "kafka_oauth_client_secret": secret,
    }
    return user(broker, "worker", "OAUTHBEARER", **(own | more))


def with_certificate(broker: Secured, certificate: Path, key: Path, **more: Any) -> Settings:
    return names(
        kafka_bootstrap_servers=broker.mutual,
        kafka_security_protocol="SSL",
        kafka_ssl_ca_file=broker.authority,
        kafka_ssl_certificate_file=certificate,
        kafka_ssl_key_file=key,
        **more,
    )


def known_worker(how: str, broker: Secured, endpoint: Endpoint, **more: Any) -> Settings:
    """Settings by which the broker knows User:worker."""
    if how == "certificate":
        pem = broker.client
        return with_certificate(broker, pem.certificate, pem.encrypted_key, kafka_ssl_key_password=KEY_PASSWORD, **more)
    if how == "OAUTHBEARER":
        return with_token(broker, endpoint, **more)
    return user(broker, "worker", how, **more)


async def complete_a_course(broker: Secured) -> UUID:
    """As a player. The learner."""
    learner = uuid4()
    event = LessonCompleted(user_id=learner, course_id=uuid4(), lesson_id="only", total_lessons=1)
    async with LessonEventPublisher(**client(user(broker, "player")), topic=LESSONS) as publisher:
        await publisher.publish(event, occurred_at=datetime.now(UTC))
    return learner


async def percentage(connection: asyncpg.Connection, learner: UUID) -> int | None:
    return await connection.fetchval("select progress_percentage from course_progress where user_id = $1", learner)


async def certificate_is_due(broker: Secured, learner: UUID) -> bool:
    """Whether a certificate service hears of it, in a group of its own."""
    reach = client(user(broker, "certificates"))
    async with (
        asyncio.timeout(30),
        CourseEventSubscriber(**reach, group_id=f"certificates-{uuid4()}", topic=COURSES) as subscriber,
    ):
        async for received in subscriber:
            if isinstance(received.event, CourseCompleted) and received.event.user_id == learner:
                return True
    return False


def last_words(log: str) -> list[str]:
    """Why it stopped, each time that a log says so."""
    return [line["reason"] for line in map(json.loads, log.splitlines()) if line["event"] == "the worker stopped"]


# In


@pytest.mark.parametrize("how", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "certificate"])
async def test_a_worker_does_its_job_over_tls_however_it_is_known(
    broker: Secured, endpoint: Endpoint, how: str, database_url: str, connection: asyncpg.Connection
) -> None:
    learner = await complete_a_course(broker)

    with Workers(known_worker(how, broker, endpoint, database_url=database_url)) as workers:
        worker = workers.start("--until-idle")

        assert worker.wait() == 0
        assert MARKED not in worker.log
    assert await percentage(connection, learner) == 100
    assert await certificate_is_due(broker, learner)


async def test_a_worker_outlives_its_tokens(
    broker: Secured, endpoint: Endpoint, database_url: str, connection: asyncpg.Connection
) -> None:
    with Workers(with_token(broker, endpoint, database_url=database_url, kafka_oauth_scope="kafka")) as workers:
        worker = workers.start()

        async def has_asked_again() -> bool:
            return len(endpoint.asked) >= 3

        await eventually(has_asked_again)
        learner = await complete_a_course(broker)

        async def applied() -> bool:
            return await percentage(connection, learner) == 100

        await eventually(applied)
        assert worker.stop() == 0
    assert endpoint.asked[0] == {"grant_type": ["client_credentials"], "scope": ["kafka"]}


async def test_a_token_file_is_read_at_every_connection(broker: Secured, tmp_path: Path) -> None:
    file = tmp_path / "token"
    settings = user(
        broker, "worker", "OAUTHBEARER", kafka_sasl_username=None, kafka_sasl_password=None, kafka_oauth_token_file=file
    )
    reach = client(settings)
    with pytest.raises(KafkaUnavailable):
        await require_access(reach, of_worker(settings))
    file.write_text(secured.unsecured_jwt("worker", lifetime_s=-60))
    with pytest.raises(SetupError):
        await require_access(reach, of_worker(settings))

    file.write_text(secured.unsecured_jwt("worker", lifetime_s=60) + "\n")

    await require_access(reach, of_worker(settings))


# Out


@pytest.mark.parametrize("how", ["SCRAM-SHA-512", "OAUTHBEARER", "no authority"])
async def test_a_worker_that_is_refused_says_why_once_and_ends(
    broker: Secured, endpoint: Endpoint, how: str, database_url: str
) -> None:
    wrong = f"{MARKED}-and-wrong"
    refused = {
        "OAUTHBEARER": lambda: with_token(broker, endpoint, wrong, database_url=database_url),
        "no authority": lambda: user(broker, "worker", kafka_ssl_ca_file=None, database_url=database_url),
    }
    settings = refused.get(how, lambda: user(broker, "worker", how, wrong, database_url=database_url))()

    with Workers(settings) as workers:
        worker = workers.start()

        assert worker.wait() == 1
        [reason] = last_words(worker.log)
        assert "PROGRESS_KAFKA_" in reason
        assert MARKED not in worker.log


@pytest.mark.parametrize(
    "command", [["watch"], ["publish", "CourseAccessed", "--user", str(uuid4()), "--course", str(uuid4())]]
)
def test_a_command_with_a_wrong_password_says_so_in_one_line(broker: Secured, command: list[str]) -> None:
    settings = user(broker, "player", password=f"{MARKED}-and-wrong")

    ended = subprocess.run(
        [sys.executable, "-m", "worker.cli", *command],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert "PROGRESS_KAFKA_SASL_" in line
    assert MARKED not in line


async def test_who_has_no_certificate_or_a_strangers_is_refused(broker: Secured) -> None:
    pem = broker.stranger
    stranger = with_certificate(broker, pem.certificate, pem.key)
    nobody = stranger.model_copy(update={"kafka_ssl_certificate_file": None, "kafka_ssl_key_file": None})

    for settings in (stranger, nobody):
        with pytest.raises(SetupError):
            await require_access(client(settings), {})


def test_a_key_with_another_password_is_refused_without_asking_the_terminal(broker: Secured) -> None:
    pem = broker.client
    for password in (None, "another"):
        settings = with_certificate(broker, pem.certificate, pem.encrypted_key, kafka_ssl_key_password=password)

        with pytest.raises(SetupError, match="PROGRESS_KAFKA_SSL_CERTIFICATE_FILE"):
            client(settings)


async def test_a_certificate_of_another_host_is_refused(broker: Secured) -> None:
    settings = user(broker, "worker", kafka_bootstrap_servers=broker.sasl.replace("127.0.0.1", "localhost"))

    with pytest.raises(SetupError):
        await require_access(client(settings), {})


async def test_the_wrong_protocol_for_a_port_is_guessed(broker: Secured) -> None:
    in_clear = names(kafka_bootstrap_servers=broker.sasl)
    without_sasl = user(
        broker,
        "worker",
        kafka_security_protocol="SSL",
        kafka_sasl_mechanism=None,
        kafka_sasl_username=None,
        kafka_sasl_password=None,
    )
    with_tls = user(broker, "worker", kafka_bootstrap_servers=broker.admin)

    for settings in (in_clear, without_sasl, with_tls):
        with pytest.raises(KafkaUnavailable, match="PROGRESS_KAFKA_SECURITY_PROTOCOL"):
            await require_access(client(settings), {})


# Each role its own


READ, WRITE = {"READ", "DESCRIBE"}, {"WRITE", "DESCRIBE"}
MAY: dict[str, dict[str, set[str]]] = {
    "player": {LESSONS: WRITE},
    "worker": {LESSONS: READ, COURSES: WRITE, DEAD: WRITE, GROUP: READ},
    "certificates": {COURSES: READ, "certificates-1": READ},
    "operator": {LESSONS: WRITE, DEAD: READ | WRITE, GROUP: {"DESCRIBE"}},
    "api": {LESSONS: WRITE, DEAD: READ | WRITE, GROUP: {"DESCRIBE"}},
    "nobody": {},
}
GROUPS = (GROUP, "certificates-1", "payments")


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
        **admin.describe_consumer_groups(list(GROUPS), include_authorized_operations=True),
        "the cluster": admin.describe_cluster(include_authorized_operations=True),
    }

    assert {what: operations(future) for what, future in found.items()} == {
        what: MAY[role].get(what, set()) for what in found
    }


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
    reach = client(user(broker, role))

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
        if not isinstance(failure("refused", error), SetupError):
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
        if not isinstance(failure("refused", error), SetupError):
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

    with Shown(disable=True) as nowhere:
        tally = await replay(user(broker, "api"), named, rate=100, progress=nowhere)

    assert tally.replayed == 1


async def test_what_a_worker_may_not_do_is_told_before_it_takes_anything(broker: Secured) -> None:
    with pytest.raises(SetupError) as refused:
        await require_access(client(user(broker, "operator")), of_worker(names()))

    assert f"Read on topic {LESSONS}, Write on topic {COURSES}:" in str(refused.value)
    assert DEAD not in str(refused.value)


async def test_a_worker_in_a_group_that_is_not_its_own_ends(broker: Secured, database_url: str) -> None:
    with Workers(user(broker, "worker", consumer_group="payments", database_url=database_url)) as workers:
        worker = workers.start()

        assert worker.wait() == 1
        [reason] = last_words(worker.log)
        assert "group payments" in reason


# Withdrawn


@pytest.mark.parametrize(("operation", "topic"), [("READ", LESSONS), ("WRITE", DEAD), ("WRITE", COURSES)])
async def test_a_worker_whose_access_is_withdrawn_ends_and_its_successor_skips_nothing(
    broker: Secured, database_url: str, connection: asyncpg.Connection, operation: str, topic: str
) -> None:
    broker.allow("worker", *OF_WORKER, user="leaver")
    first = await complete_a_course(broker)
    with Workers(user(broker, "leaver", database_url=database_url)) as workers:
        worker = workers.start()

        async def applied() -> bool:
            return await percentage(connection, first) == 100

        await eventually(applied)
        withdraw(broker, "leaver", operation, topic)
        bad = str(uuid4()).encode()
        async with Producer(broker.admin) as producer:
            await producer.send_all([OutgoingRecord(LESSONS, b"", bad, [])])
        second = await complete_a_course(broker)

        assert worker.wait() == 1
        [reason] = last_words(worker.log)
        assert topic in reason
        assert workers.start("--until-idle", kafka_sasl_username="worker").wait() == 0
    assert await percentage(connection, second) == 100
    assert await certificate_is_due(broker, second)
    assert bad in await dead_letters(broker)


def withdraw(broker: Secured, user: str, operation: str, topic: str) -> None:
    acl = AclBindingFilter(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        f"User:{user}",
        None,
        AclOperation[operation],
        AclPermissionType.ALLOW,
    )
    admin = AdminClient({"bootstrap.servers": broker.admin})
    [deleted] = admin.delete_acls([acl]).values()
    assert len(deleted.result(timeout=30)) == 1


async def dead_letters(broker: Secured) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(DEAD, **client(user(broker, "operator")), auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        values = []
        async with asyncio.timeout(30):
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                values += [r.value for records in (await consumer.getmany(timeout_ms=200)).values() for r in records]
        return values
    finally:
        await consumer.stop()


async def test_a_user_who_is_removed_is_noticed_while_old_connections_last(
    broker: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "LOOK_EVERY_S", 0.05)
    broker.allow("worker", *OF_WORKER, user="goer")
    watch = AccessWatch(user(broker, "goer"))
    await watch.start()
    try:
        removal = UserScramCredentialDeletion("goer", ScramMechanism.SCRAM_SHA_256)
        admin = AdminClient({"bootstrap.servers": broker.admin})
        [done] = admin.alter_user_scram_credentials([removal]).values()
        done.result(timeout=30)

        async def noticed() -> bool:
            return bool(watch.crashed)

        await eventually(noticed)
        assert isinstance(watch.crash_reason, SetupError)
    finally:
        await watch.stop()


# The script


def acls(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"KAFKA_ACLS": "kafka-acls"}
    return subprocess.run([ACLS, *arguments], capture_output=True, text=True, check=False, env=environment)


def test_the_script_prints_what_it_would_run() -> None:
    printed = acls("certificates", "User:CN=badges, O=a school", "--group", "badges", "--", "--bootstrap-server", "b")

    assert printed.returncode == 0
    assert printed.stdout.splitlines() == [
        f"kafka-acls '--bootstrap-server' 'b' '--add' '--allow-principal' 'User:CN=badges, O=a school' {what}"
        for what in (
            "'--operation' 'Read' '--topic' 'course-events'",
            "'--operation' 'Read' '--resource-pattern-type' 'prefixed' '--group' 'badges'",
        )
    ]


@pytest.mark.parametrize(
    "arguments", [[], ["worker"], ["worker", "worker"], ["boss", "User:x"], ["worker", "User:x", "--group"], ["--no"]]
)
def test_the_script_refuses_what_it_does_not_know(arguments: list[str]) -> None:
    refused = acls(*arguments)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert len(refused.stderr.splitlines()) == 1


def test_the_script_explains_itself() -> None:
    explained = acls("--help")

    assert explained.returncode == 0
    assert "Examples:" in explained.stdout
