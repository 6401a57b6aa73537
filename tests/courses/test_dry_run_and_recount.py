"""A dry run says what the recount after the publication then does: the same counts, and the same rows."""

from collections import Counter
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest

from events.catalog import AtLeast, CatalogLesson, CoursePublished
from tests.catalogs import Published, publish_versions, recount_all
from tests.factories import at
from worker.courses.catalog_sink import store_version
from worker.courses.dry_run import VanishedLesson, try_version
from worker.postgres.connection import query
from worker.repair.recount import connect_to_recount
from worker.settings import Settings

LEARNERS = 50_000  # of each of two courses

# Each learner has completed three of four lessons, on average, in any order, within a hundred hours.
FILL = """
with done as (
    insert into lesson_progress (user_id, course_id, lesson_id, completed, changed_at, completed_at)
    select md5(course || '-' || n)::uuid, course, lesson, true, completed_at, completed_at
    from unnest($1::uuid[]) course
    cross join generate_series(1, $2::integer) n
    cross join unnest($3::text[]) lesson
    cross join lateral (select hashtext(course || lesson || n) as drawn) d
    cross join lateral (select $4::timestamptz + (drawn & 127) % 100 * interval '1 hour' as completed_at) t
    where (drawn >> 8) & 3 > 0
    returning *
)
insert into course_progress_all (user_id, course_id, lessons_completed, total_lessons, started_at, last_accessed_at)
select user_id, course_id, count(*), 100, min(completed_at), max(completed_at)
from done
group by user_id, course_id
"""
ROWS = """
select user_id, lessons_completed, total_lessons, completed_at, course_version, judged_by, progress_percentage
from course_progress_all where course_id = $1 order by user_id
"""
JUDGED = """
select a.user_id, j.lessons_completed, j.total_lessons, j.completed_at, j.course_version, j.judged_by
from judge_progress(array(select user_id from course_progress_all where course_id = $1 order by user_id),
                    array(select course_id from course_progress_all where course_id = $1)) j
join course_progress_all a using (id)
order by a.user_id
"""
RECOUNTED = "select rows_seen, completed, revoked from course_recount where course_id = $1"
Row: TypeAlias = tuple[Any, ...]


def first_version(course: UUID) -> Published:
    lessons = tuple(CatalogLesson(lesson_id=id, title=id.upper()) for id in "abcd")
    return CoursePublished(course_id=course, version=1, lessons=lessons), at(0)


def second_version(course: UUID, policy: str) -> Published:
    """Gives b another id without a word, and d with one; adds f, which some have done before."""
    lessons = (
        CatalogLesson(lesson_id="a"),
        CatalogLesson(lesson_id="f"),
        CatalogLesson(lesson_id="c"),
        CatalogLesson(lesson_id="e", replaces=("d",)),
        CatalogLesson(lesson_id="b-2", title="B"),
    )
    version = CoursePublished(course_id=course, version=2, policy=policy, rule=AtLeast(at_least=4), lessons=lessons)
    return version, at(50)


async def fill(connection: asyncpg.Connection, courses: list[UUID], start: datetime) -> None:
    await connection.execute(FILL, courses, LEARNERS, list("abcdf"), start)
    await connection.execute("analyze")


async def judge_unpublished(settings: Settings, version: CoursePublished, published_at: datetime) -> list[Row]:
    """Returns what the rows would say with the version, and changes nothing."""
    connection = await connect_to_recount(settings)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await store_version(connection, version, published_at)
        await connection.execute(query("courses/close_replacements"), version.course_id)
        rows = await connection.fetch(JUDGED, version.course_id)
        await transaction.rollback()
    finally:
        await connection.close()
    return [tuple(row) for row in rows]


def count_changes(before: list[asyncpg.Record], after: list[asyncpg.Record]) -> dict[str, int]:
    """Counts what has become of the rows, as a dry run counts what would."""
    changes: Counter[str] = Counter()
    for old, new in zip(before, after, strict=True):
        assert old["user_id"] == new["user_id"]
        changes["learners"] += 1
        changes["completed"] += old["completed_at"] is None and new["completed_at"] is not None
        changes["revoked"] += old["completed_at"] is not None and new["completed_at"] is None
        changes["grandfathered"] += new["completed_at"] is not None and new["course_version"] < new["judged_by"]
        changes["raised"] += new["progress_percentage"] > old["progress_percentage"]
        changes["lowered"] += new["progress_percentage"] < old["progress_percentage"]
    return dict(changes)


@pytest.mark.timeout(600)
async def test_a_dry_run_and_the_recount_agree_on_a_hundred_thousand_rows(
    database_settings: Settings, connection: asyncpg.Connection
) -> None:
    courses = {uuid4(): policy for policy in ("grandfather", "reopen")}
    await fill(connection, list(courses), at(0))
    await publish_versions(database_settings, map(first_version, courses))
    await recount_all(database_settings)
    seconds = {course: second_version(course, policy) for course, policy in courses.items()}
    trial = await connect_to_recount(database_settings)
    tried = {course: await try_version(trial, *seconds[course]) for course in courses}
    await trial.close()
    judged = {course: await judge_unpublished(database_settings, *seconds[course]) for course in courses}
    before = {course: await connection.fetch(ROWS, course) for course in courses}

    await publish_versions(database_settings, seconds.values())
    await recount_all(database_settings)

    for course, policy in courses.items():
        after = await connection.fetch(ROWS, course)
        found = tried[course]
        counts = count_changes(before[course], after)
        assert {name: getattr(found, name) for name in counts} == counts
        assert [tuple(row)[:-1] for row in after] == judged[course]
        assert found.learners > 0.9 * LEARNERS
        assert all(counts[name] > 0 for name in ("completed", "raised", "lowered"))
        assert counts["grandfathered" if policy == "grandfather" else "revoked"] > 0
        done = await connection.fetchrow(RECOUNTED, course)
        assert tuple(done) == (found.learners, found.completed, found.revoked)


async def test_a_dry_run_changes_nothing_and_names_the_lessons_that_vanish(
    database_settings: Settings, connection: asyncpg.Connection
) -> None:
    course = uuid4()
    await connection.execute(FILL, [course], 50, list("abcdf"), at(0))
    await publish_versions(database_settings, [first_version(course)])
    await recount_all(database_settings)
    tables = "select p::text from course_progress_all p union all select v::text from course_version v order by 1"
    before = await connection.fetch(tables)
    done = await connection.fetchval("select count(*) from lesson_progress where lesson_id = 'b'")

    trial = await connect_to_recount(database_settings)
    found = await try_version(trial, *second_version(course, "reopen"))
    await trial.close()

    assert found.vanished == [VanishedLesson("b", "B", done, renamed_to="b-2")]
    assert await connection.fetch(tables) == before
    assert await connection.fetchval("select epoch from known_epoch") == 1
