"""What a learner sees of a course: what is met and how, what is locked and why, what comes next."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given

from events.catalog import CoursePublished
from events.models import LessonCompleted, LessonUncompleted, LessonWaived, LessonWaiverWithdrawn, ProgressReset
from tests.catalogs import Published, date_lessons, drop_forgotten, publish_versions
from tests.databases import NOON, Database, lesson, publish_version
from tests.deliveries import Delivery, deliveries, draw_graphs, real_sql
from tests.factories import COURSE, OTHER_USER, USER, at
from worker.courses.catalog import Lesson
from worker.courses.outlines import (
    LessonState,
    MissingCourse,
    Next,
    Outline,
    Outlines,
    find_next,
    read_states,
)
from worker.courses.prerequisites import MissingLesson, Prerequisites
from worker.learners.reads import ProgressReader
from worker.postgres.pool import connect_pool
from worker.progress.store import Store
from worker.progress.version_reference import find_equals
from worker.settings import Settings

EVERY_KIND = (LessonCompleted, LessonCompleted, LessonUncompleted, LessonWaived, LessonWaiverWithdrawn, ProgressReset)


@pytest.fixture
async def reads(database_settings: Settings) -> AsyncIterator[ProgressReader]:
    pool = await connect_pool(database_settings)
    yield ProgressReader(pool)
    await pool.close()


@pytest.fixture
async def database(database_settings: Settings, connection: asyncpg.Connection) -> AsyncIterator[Database]:
    database = Database(Store(database_settings), connection)
    yield database
    await database.store.close()


@pytest.fixture
def course() -> UUID:
    return uuid4()


@pytest.fixture
def user() -> UUID:
    return uuid4()


async def begin(
    connection: asyncpg.Connection, user: UUID, course: UUID, *, under: int = 1, complete: bool = False
) -> None:
    await connection.execute(
        """
        insert into course_progress_all (user_id, course_id, last_accessed_at, started_at, course_version, judged_by,
                                         total_lessons, lessons_completed, completed_at)
        values ($1, $2, now(), $4, $3, $3, 1, $5::integer, case when $5 = 1 then $4::timestamptz end)
        """,
        *(user, course, under, NOON, int(complete)),
    )


async def waive(connection: asyncpg.Connection, user: UUID, course: UUID, lesson_id: str) -> None:
    await connection.execute(
        "insert into lesson_waiver (user_id, course_id, lesson_id, waived_at) values ($1, $2, $3, $4)",
        *(user, course, lesson_id, [NOON]),
    )


def course_of(course: UUID, *lessons: dict[str, Any], version: int = 1, **changed: Any) -> CoursePublished:
    return CoursePublished.model_validate({"course_id": course, "version": version, "lessons": lessons, **changed})


async def read(reads: ProgressReader, user: UUID, course: UUID) -> Outline:
    return (await Outlines().read_outlines(reads, user, [course])).value[course]


# Any graph, any history


@pytest.mark.timeout(600)
@real_sql
@given(delivery=deliveries(*EVERY_KIND), published=draw_graphs())
async def test_an_outline_says_what_the_rules_and_the_door_say(
    database: Database,
    database_settings: Settings,
    reads: ProgressReader,
    delivery: Delivery,
    published: list[Published],
) -> None:
    await database.empty()
    tables = "course_version, course_lesson, course_replacement, course_recount, lesson_waiver"
    await database.connection.execute(f"truncate {tables}")
    await publish_versions(database_settings, published)
    for part in delivery.batches:
        await database.apply(part)
    known = {version.version: (version, when) for version, when in published}
    newest, _ = known[max(known)]

    for user in (USER, OTHER_USER):
        outline = await read(reads, user, COURSE)
        dates = date_lessons(drop_forgotten(entry for entry in delivery.happened if entry[0].user_id == user))
        met = {each.lesson_id for each in newest.lessons if find_equals(each.lesson_id, known) & dates.keys()}
        clicks = [LessonCompleted(user_id=user, course_id=COURSE, lesson_id=each.id) for each in outline.lessons]
        refused = [
            (await Prerequisites().find_missing(reads, user, [(click, at(9))], {COURSE: newest.version}))[0]
            for click in clicks
        ]

        assert outline.met == met
        assert [each.id for each in outline.lessons] == [each.lesson_id for each in newest.lessons]
        for shown, missing in zip(outline.lessons, refused, strict=True):
            assert outline.list_missing(shown) == (missing if shown.id not in met else ())
        states = await read_states(reads, user, [(COURSE, each.id) for each in outline.lessons])
        assert {lesson_id for _, lesson_id in states} == met
        found = find_next(outline).lesson
        open_now = [each for each in outline.lessons if each.required and each.id not in met]
        open_now = [each for each in open_now if not outline.list_missing(each)]
        assert found == (open_now[0] if open_now and outline.completed_at is None else None)


# One course


async def test_a_course_that_is_not_begun_is_outlined_too(
    connection: asyncpg.Connection, reads: ProgressReader, user: UUID, course: UUID
) -> None:
    await publish_version(
        connection,
        course_of(
            course,
            {"lesson_id": "a", "title": "Basics", "section": "Start", "href": "/a"},
            {"lesson_id": "b", "requires": ["a"], "section": "Start"},
            {"lesson_id": "x", "required": False},
            title="German",
        ),
    )
    basics = Lesson("a", "Basics", "/a", section="Start")
    second = Lesson("b", "", requires=("a",), section="Start")

    outline = await read(reads, user, course)

    optional = Lesson("x", "", required=False)
    assert outline == Outline(course, "German", 1, 2, False, 0, None, (basics, second, optional), frozenset(), 0, ())
    assert outline.sections == [("Start", [basics, second]), (None, [optional])]
    assert outline.list_missing(second) == (MissingLesson("a", "Basics"),)
    assert find_next(outline) == Next(basics)


async def test_courses_without_a_version_are_missing(reads: ProgressReader, user: UUID, course: UUID) -> None:
    found = await Outlines().read_outlines(reads, user, [course])

    assert found.value == {}
    assert found.as_of is not None


async def test_each_lesson_says_how_it_is_met(
    connection: asyncpg.Connection, reads: ProgressReader, user: UUID, course: UUID
) -> None:
    await publish_version(connection, course_of(course, {"lesson_id": "b", "replaces": ["a"]}))
    names = ({"lesson_id": name} for name in ("done", "waived", "c2", "w2", "open"))
    first, second, third, fourth, fifth = names
    version = course_of(
        course, first, second, third | {"replaces": ["b"]}, fourth | {"replaces": ["w"]}, fifth, version=2
    )
    await publish_version(connection, version)
    await begin(connection, user, course)
    await lesson(connection, user, course, "a", NOON + timedelta(hours=1))
    await lesson(connection, user, course, "done", NOON)
    await lesson(connection, user, course, "open", NOON, completed=False)
    for name in ("done", "waived", "w"):
        await waive(connection, user, course, name)

    outline = await read(reads, user, course)
    states = await read_states(reads, user, [(course, each.id) for each in outline.lessons])

    assert outline.met == {"done", "waived", "c2", "w2"}
    assert {lesson_id: state for (_, lesson_id), state in states.items()} == {
        "done": LessonState(completed_at=NOON),
        "waived": LessonState(waived_at=NOON),
        "c2": LessonState(completed_at=NOON + timedelta(hours=1), met_by="a"),
        "w2": LessonState(waived_at=NOON, met_by="w"),
    }


async def test_courses_to_be_completed_first_are_named_until_they_are(
    connection: asyncpg.Connection, reads: ProgressReader, user: UUID, course: UUID
) -> None:
    titled, unknown, completed = uuid4(), uuid4(), uuid4()
    await publish_version(connection, course_of(titled, {"lesson_id": "a"}, title="First aid"))
    await begin(connection, user, titled)
    await begin(connection, user, completed, complete=True)
    required = [str(id) for id in (titled, completed, unknown)]
    await publish_version(connection, course_of(course, {"lesson_id": "a"}, requires_courses=required))

    outline = await read(reads, user, course)
    await connection.execute(
        "update course_progress_all set completed_at = now(), lessons_completed = 1 where course_id = $1", titled
    )
    later = await read(reads, user, course)

    assert outline.missing_courses == (MissingCourse(titled, "First aid"), MissingCourse(unknown, None))
    assert find_next(outline) == Next(reason="course-locked", missing_courses=outline.missing_courses)
    assert later.missing_courses == (MissingCourse(unknown, None),)


async def test_what_was_added_since_the_learner_completed_the_course_is_counted(
    connection: asyncpg.Connection, reads: ProgressReader, user: UUID, course: UUID
) -> None:
    await publish_version(connection, course_of(course, {"lesson_id": "a"}))
    await publish_version(connection, course_of(course, {"lesson_id": "a"}, {"lesson_id": "b"}, version=2))
    await begin(connection, user, course, complete=True)
    await lesson(connection, user, course, "a")

    outline = await read(reads, user, course)

    assert (outline.version, outline.held, outline.added, outline.completed_at) == (2, 1, 1, NOON)
    assert find_next(outline) == Next(reason="complete")


async def test_a_version_that_is_published_meanwhile_is_outlined_at_once(
    connection: asyncpg.Connection, reads: ProgressReader, user: UUID, course: UUID
) -> None:
    outlines = Outlines()
    for number, name in enumerate(("a", "b"), start=1):
        await publish_version(connection, course_of(course, {"lesson_id": name}, version=number))

        found = (await outlines.read_outlines(reads, user, [course])).value[course]

        assert [each.id for each in found.lessons] == [name]


# What comes next


def outlined(*lessons: Lesson, met: str = "", **changed: Any) -> Outline:
    fields = {"title": None, "version": 1, "needed": 1, "begun": True, "held": 1, "completed_at": None, "added": 0}
    return Outline(course_id=COURSE, lessons=lessons, met=frozenset(met), **fields | {"missing_courses": ()} | changed)


A = Lesson("a", "A")
B = Lesson("b", "B", requires=("a",))
X = Lesson("x", "X", required=False)
BEHIND_X = Lesson("c", "C", requires=("x",))
FIRST_AID = MissingCourse(COURSE, "First aid")


@pytest.mark.parametrize(
    ("outline", "found"),
    [
        (None, Next(reason="no-catalog")),
        (outlined(B, A), Next(A)),
        (outlined(B, A, met="a"), Next(B)),
        (outlined(X, A, B, met="a"), Next(B)),
        (outlined(A, B, met="ab"), Next(reason="complete")),
        (outlined(A, B, met="a", completed_at=NOON), Next(reason="complete")),
        (outlined(X, BEHIND_X, A, met="a"), Next(reason="locked", missing=(MissingLesson("x", "X"),))),
        (outlined(A, missing_courses=(FIRST_AID,)), Next(reason="course-locked", missing_courses=(FIRST_AID,))),
        (outlined(A, met="a", missing_courses=(FIRST_AID,)), Next(reason="complete")),
    ],
    ids=["no version", "locked", "unlocked", "optional", "all met", "enough", "behind an optional", "course", "done"],
)
def test_the_next_lesson_is_the_first_that_is_required_open_and_not_locked(
    outline: Outline | None, found: Next
) -> None:
    assert find_next(outline) == found
