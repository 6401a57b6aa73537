"""`--until-idle` ends a worker when what was there at its start is applied and announced."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from worker.postgres.connection import query

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
