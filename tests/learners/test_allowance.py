"""A learner has room for so many courses, and for so many lessons of each."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.databases import invent
from worker.learners.allowance import Allowance
from worker.learners.reads import ProgressReader
from worker.postgres.pool import connect_pool
from worker.settings import Settings


@pytest.fixture
def user() -> UUID:
    return uuid4()


@pytest.fixture
def course() -> UUID:
    return uuid4()


@pytest.fixture
async def reads(database_settings: Settings) -> AsyncIterator[ProgressReader]:
    pool = await connect_pool(database_settings)
    yield ProgressReader(pool)
    await pool.close()


@pytest.mark.parametrize("completed", [True, False])
async def test_lessons_find_room_up_to_the_bound_in_their_order(
    connection: asyncpg.Connection, reads: ProgressReader, user: UUID, course: UUID, completed: bool
) -> None:
    await invent(connection, user, course, 3, completed=completed)
    named = [(course, lesson) for lesson in ("x", "n000001", "x", "y", "z", "n000002")] + [(course, None)]

    found = await Allowance(9, 5).find_excess(reads, user, named)

    assert found == [None, None, None, None, "lessons", None, None]


async def test_a_lesson_of_a_full_course_may_still_be_clicked(
    connection: asyncpg.Connection, reads: ProgressReader, user: UUID, course: UUID
) -> None:
    await invent(connection, user, course, 8)  # beyond the bound, from Kafka

    assert await Allowance(9, 5).find_excess(reads, user, [(course, "n000008"), (course, "new")]) == [None, "lessons"]


async def test_courses_find_room_up_to_the_bound_and_those_that_were_reset_count(
    connection: asyncpg.Connection, reads: ProgressReader, user: UUID, course: UUID
) -> None:
    new, newer, reset = uuid4(), uuid4(), uuid4()
    await invent(connection, user, course, 1)
    await connection.execute(
        "insert into course_progress_all (user_id, course_id, reset_at) values ($1, $2, now())", user, reset
    )
    await invent(connection, uuid4(), uuid4(), 1)  # another learner's
    named = [(new, None), (newer, "a"), (new, "a"), (course, "a"), (reset, None)]

    assert await Allowance(3, 5).find_excess(reads, user, named) == [None, "courses", None, None, None]
    assert await Allowance(2, 5).find_excess(reads, user, named) == ["courses", "courses", "courses", None, None]
