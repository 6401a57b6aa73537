"""What a read costs PostgreSQL, and how much it returns, whatever a learner has stored."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from tests.bench.bench import fill
from tests.bench.learners import Rows
from tests.databases import invent
from worker.learners.reads import MOST_COURSES, MOST_LESSONS, ProgressReader
from worker.postgres.connection import query
from worker.postgres.pool import connect_pool
from worker.settings import Settings


@pytest.fixture
async def reads(database_settings: Settings) -> AsyncIterator[ProgressReader]:
    pool = await connect_pool(database_settings)
    yield ProgressReader(pool)
    await pool.close()


async def test_a_read_of_one_course_is_not_planned_each_time(connection: asyncpg.Connection) -> None:
    await fill(connection, [Rows(5000, done=1)])
    read = query("learners/progress_of_courses")
    for _ in range(10):
        await connection.fetch(read, uuid4(), [uuid4()], MOST_LESSONS)

    planned = "select custom_plans from pg_prepared_statements where statement = $1"
    assert await connection.fetchval(planned, read) == 5  # then PostgreSQL compares, and keeps the general plan


async def test_a_course_has_its_first_lessons_and_tells_how_many_more_there_are(
    connection: asyncpg.Connection, reads: ProgressReader
) -> None:
    user, course = uuid4(), uuid4()
    await invent(connection, user, course, MOST_LESSONS + 5)

    found = (await reads.read_courses(user, [course])).value[course]

    assert (len(found.completed_lessons), found.more_lessons) == (MOST_LESSONS, 5)
    assert (found.completed_lessons[0], found.lessons_completed) == ("n000001", MOST_LESSONS + 5)


async def test_the_courses_of_one_answer_share_its_room_for_lessons(
    connection: asyncpg.Connection, reads: ProgressReader
) -> None:
    user, courses = uuid4(), sorted(uuid4() for _ in range(3))
    for course, number in zip(courses, (MOST_LESSONS - 10, 30, 1), strict=True):
        await invent(connection, user, course, number)

    listed = (await reads.list_courses(user, include_completed=True)).value
    chosen = (await reads.read_courses(user, courses)).value

    assert [(len(each.completed_lessons), each.more_lessons) for each in listed] == [
        (MOST_LESSONS - 10, 0),
        (10, 20),
        (0, 1),
    ]
    assert listed == [chosen[course] for course in courses]


async def test_the_pages_of_a_courses_lessons_are_all_of_them_in_their_order(
    connection: asyncpg.Connection, reads: ProgressReader
) -> None:
    user, course = uuid4(), uuid4()
    await invent(connection, user, course, 10)
    found, after = [], None
    while page := (await reads.list_lessons(user, course, after=after, limit=4)).value:
        assert len(page) <= 4
        found += page
        after = page[-1]

    assert [lesson.lesson_id for lesson in found] == [f"n{n:06}" for n in range(1, 11)]


async def test_a_learner_with_any_number_of_courses_has_a_bounded_list(
    connection: asyncpg.Connection, reads: ProgressReader
) -> None:
    user = uuid4()
    await connection.execute(
        """
        insert into course_progress_all (user_id, course_id, last_accessed_at, started_at)
        select $1, gen_random_uuid(), now(), now() from generate_series(1, 5000)
        """,
        user,
    )

    assert len((await reads.list_courses(user, include_completed=True)).value) == MOST_COURSES


async def test_which_of_some_lessons_are_completed_is_known(
    connection: asyncpg.Connection, reads: ProgressReader
) -> None:
    user, course, other = uuid4(), uuid4(), uuid4()
    await invent(connection, user, course, 3)
    await invent(connection, user, other, 3, completed=False)

    found = await reads.find_completed(user, [(course, "n000002"), (course, "none"), (other, "n000001")])

    assert found == {course: {"n000002"}}
