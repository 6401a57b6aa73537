"""Access that is taken from a worker at work."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
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

from events.producer import OutgoingRecord, Producer
from tests.kafka_security.journey import certificate_is_due, complete_a_course, percentage
from tests.kafka_security.users import COURSES, DEAD, LESSONS, OF_WORKER, user
from tests.processes import Workers, eventually
from tests.secured import Secured
from worker.errors import SetupError
from worker.kafka import permissions as access
from worker.kafka.client import client_arguments
from worker.kafka.permissions import PermissionWatch, worker_permissions


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
        [reason] = worker.reasons
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
    consumer = AIOKafkaConsumer(DEAD, **client_arguments(user(broker, "operator")), auto_offset_reset="earliest")
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
    monkeypatch.setattr(access, "CHECK_PERMISSIONS_EVERY_S", 0.05)
    broker.allow("worker", *OF_WORKER, user="goer")
    watch = PermissionWatch(user(broker, "goer"), worker_permissions(user(broker, "goer")))
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
