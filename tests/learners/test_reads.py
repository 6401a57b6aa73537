"""What a read costs PostgreSQL."""

from uuid import uuid4

import asyncpg

from tests.bench.bench import fill
from tests.bench.learners import Rows
from worker.postgres.connection import query


async def test_a_read_of_one_course_is_not_planned_each_time(connection: asyncpg.Connection) -> None:
    await fill(connection, [Rows(5000, done=1)])
    read = query("learners/progress_of_courses")
    for _ in range(10):
        await connection.fetch(read, uuid4(), [uuid4()])

    planned = "select custom_plans from pg_prepared_statements where statement = $1"
    assert await connection.fetchval(planned, read) == 5  # then PostgreSQL compares, and keeps the general plan
