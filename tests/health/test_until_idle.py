"""`--until-idle` ends a worker when what was there at its start is applied and announced."""

from typing import cast
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError

from worker.errors import SetupError
from worker.health.until_idle import UntilIdle
from worker.intake.intake import Intake
from worker.postgres.connection import query
from worker.settings import Settings

HERE, GONE = uuid4(), uuid4()


async def is_done(connection: asyncpg.Connection, topic_id: UUID | None, until: int) -> bool:
    return bool(await connection.fetchval(query("health/until_idle"), "g", "t", topic_id, [0], [until]))


@pytest.mark.parametrize(
    ("topic_id", "until", "done"),
    [(HERE, 20, True), (HERE, 21, False), (None, 20, True), (GONE, 10, False)],
    ids=["applied", "not yet", "a broker without ids", "another topic"],
)
async def test_stored_offsets_count_in_their_own_topic_alone(
    connection: asyncpg.Connection, topic_id: UUID | None, until: int, done: bool
) -> None:
    offset = "insert into consumed_offset (consumer_group, topic, partition, next_offset) values ('g', 't', 0, 20)"
    await connection.execute(offset)
    await connection.execute("insert into known_topic values ('g', 't', $1)", HERE)

    assert await is_done(connection, topic_id, until) == done


class FailingIntake:
    """Stands for an intake whose first questions fail."""

    stream = "lessons"

    def __init__(self, *failures: KafkaError) -> None:
        self._failures = list(failures)

    async def topic_id(self) -> UUID:
        if self._failures:
            raise self._failures.pop(0)
        return HERE

    async def ends(self) -> dict[TopicPartition, int]:
        return {TopicPartition("t", 0): 20}


async def find_goal(*failures: KafkaError) -> object:
    return await UntilIdle(Settings(), [])._find_goal(cast(Intake, FailingIntake(*failures)))


async def test_a_closed_connection_is_asked_again() -> None:
    goal = await find_goal(KafkaConnectionError("closed"), KafkaConnectionError("closed"))

    assert goal == ("lessons", HERE, {TopicPartition("t", 0): 20})


async def test_what_kafka_refuses_ends_the_worker_with_the_remedy() -> None:
    with pytest.raises(SetupError, match="ACLs"):
        await find_goal(TopicAuthorizationFailedError("t"))
