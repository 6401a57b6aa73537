"""Which lessons of a course are known, and which of them a learner has done."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from events import CatalogLesson, CoursePublished
from tests.databases import NOON, invent, lesson, publish_version
from worker.courses.catalog import Lesson
from worker.courses.lessons import MOST_LESSONS, CourseLessons, KnownLessons, LessonState, NewestVersion
from worker.settings import Settings


@pytest.fixture
def user() -> UUID:
    return uuid4()


@pytest.fixture
def course() -> UUID:
    return uuid4()


@pytest.fixture
async def known(database_settings: Settings) -> AsyncIterator[KnownLessons]:
    async with KnownLessons(database_settings) as known:
        yield known


async def enrolled(connection: asyncpg.Connection, user: UUID, course: UUID, total: int | None = 4) -> None:
    await connection.execute(
        """
        insert into course_progress_all (user_id, course_id, last_accessed_at, started_at, total_lessons)
        values ($1, $2, now(), now(), $3)
        """,
        user,
        course,
        total,
    )


async def test_a_course_that_the_learner_has_not_begun_is_none(
    known: KnownLessons, connection: asyncpg.Connection, user: UUID, course: UUID
) -> None:
    for _ in range(9):
        other = uuid4()
        await enrolled(connection, other, course)
        await lesson(connection, other, course, "a")

    assert await known.read_lessons(user, [course]) == {}


async def test_a_course_that_was_only_opened_has_no_known_lesson(
    known: KnownLessons, connection: asyncpg.Connection, user: UUID, course: UUID
) -> None:
    await enrolled(connection, user, course, total=None)

    assert await known.read_lessons(user, [course]) == {course: CourseLessons(None, ())}


async def test_own_lessons_have_their_state(
    known: KnownLessons, connection: asyncpg.Connection, user: UUID, course: UUID
) -> None:
    await enrolled(connection, user, course)
    await lesson(connection, user, course, "b", NOON)
    await lesson(connection, user, course, "a", NOON + timedelta(hours=1), completed=False)

    lessons = CourseLessons(4, (LessonState("b", NOON), LessonState("a", None)))
    assert await known.read_lessons(user, [course]) == {course: lessons}


async def test_lessons_that_enough_others_did_are_known_in_their_order_and_a_few_others_own_are_not(
    known: KnownLessons, connection: asyncpg.Connection, user: UUID, course: UUID
) -> None:
    await enrolled(connection, user, course)
    await lesson(connection, user, course, "second", NOON)
    await lesson(connection, user, course, "mine", NOON)
    for number in range(5):
        other = uuid4()
        await enrolled(connection, other, course)
        await lesson(connection, other, course, "first", NOON)
        await lesson(connection, other, course, "second", NOON + timedelta(hours=1))
        await lesson(connection, other, course, "third", NOON + timedelta(hours=2))
        if number < 4:
            await lesson(connection, other, course, "made up", NOON)

    found = await known.read_lessons(user, [course])

    assert found[course].lessons == (
        LessonState("first", None),
        LessonState("second", NOON),
        LessonState("third", None),
        LessonState("mine", NOON),
    )


async def test_a_course_of_any_number_of_lessons_has_a_bounded_list(
    known: KnownLessons, connection: asyncpg.Connection, user: UUID, course: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.courses.lessons.SAMPLED_LESSONS", MOST_LESSONS + 100)
    for _ in range(5):
        await invent(connection, uuid4(), course, MOST_LESSONS + 200)
    await invent(connection, user, course, MOST_LESSONS + 50, pad=" mine")

    found = await known.read_lessons(user, [course])

    assert len(found[course].lessons) == 2 * MOST_LESSONS
    [kept] = known._common.values()
    assert len(kept) == MOST_LESSONS
    assert known._common.currsize > sum(len(lesson_id) for lesson_id in kept)


# Versions


def published(course: UUID, version: int, *lessons: CatalogLesson, title: str | None = None) -> CoursePublished:
    return CoursePublished(course_id=course, version=version, title=title, lessons=lessons)


async def test_the_newest_version_says_title_and_lessons_in_their_order(
    known: KnownLessons, connection: asyncpg.Connection, course: UUID
) -> None:
    old = CatalogLesson(lesson_id="old", title="Old")
    new = CatalogLesson(lesson_id="new", title="New", href="/new", replaces=("old",))
    extra = CatalogLesson(lesson_id="extra", required=False)
    await publish_version(connection, published(course, 2, new, extra, title="Second"))
    await publish_version(connection, published(course, 1, old, title="First"))

    lessons = (Lesson("new", "New", "/new", True, ("old",)), Lesson("extra", "", required=False))
    assert await known.read_versions([course, uuid4()]) == {course: NewestVersion(2, "Second", 1, lessons)}


async def test_a_version_that_is_published_meanwhile_is_read_at_once(
    known: KnownLessons, connection: asyncpg.Connection, course: UUID
) -> None:
    for number, name in enumerate(("a", "b"), start=1):
        await publish_version(connection, published(course, number, CatalogLesson(lesson_id=name)))

        found = await known.read_versions([course])

        assert [lesson.id for lesson in found[course].lessons] == [name]


async def complete(
    connection: asyncpg.Connection, user: UUID, course: UUID, *done: str, under: int, complete: bool = True
) -> None:
    await enrolled(connection, user, course)
    await connection.execute(
        "update course_progress_all set course_version = $3, judged_by = 2, "
        "completed_at = case when $4 then now() end, lessons_completed = case when $4 then total_lessons else 0 end "
        "where user_id = $1 and course_id = $2",
        user,
        course,
        under,
        complete,
    )
    for name in done:
        await lesson(connection, user, course, name)


@pytest.mark.parametrize(
    ("done", "under", "is_complete", "added"),
    [
        (["a", "b"], 1, True, 2),
        (["a", "b", "c"], 1, True, 1),
        (["a", "b", "c", "d"], 1, True, None),
        (["a", "b2", "c", "d"], 2, True, None),
        (["a"], 2, False, None),
        (["a", "b"], 0, True, None),
    ],
    ids=["two", "one is done since", "both are done since", "under the newest", "not complete", "not judged yet"],
)
async def test_what_was_added_since_a_learner_completed_a_course_is_counted(
    known: KnownLessons,
    connection: asyncpg.Connection,
    user: UUID,
    course: UUID,
    done: list[str],
    under: int,
    is_complete: bool,
    added: int | None,
) -> None:
    """`b` was renamed, `c` and `d` were added, `e` is optional."""
    first = [CatalogLesson(lesson_id=name) for name in ("a", "b")]
    second = [CatalogLesson(lesson_id=name, replaces=("b",) * (name == "b2")) for name in ("a", "b2", "c", "d")]
    await publish_version(connection, published(course, 1, *first))
    await publish_version(connection, published(course, 2, *second, CatalogLesson(lesson_id="e", required=False)))
    await complete(connection, user, course, *done, under=under, complete=is_complete)

    assert (await known.count_added(user, [course])).get(course) == added


async def test_lessons_are_waived_unless_that_was_withdrawn_or_came_before_a_reset(
    known: KnownLessons, connection: asyncpg.Connection, user: UUID, course: UUID
) -> None:
    await enrolled(connection, user, course)
    await connection.execute("update course_progress_all set reset_at = $1", NOON)
    waivers = {
        "waived": ([1], None),
        "withdrawn": ([1], 2),
        "again": ([1, 3], 2),
        "before the reset": ([-1], None),
    }
    for name, (waived, withdrawn) in waivers.items():
        await connection.execute(
            "insert into lesson_waiver (user_id, course_id, lesson_id, waived_at, withdrawn_at) "
            "values ($1, $2, $3, $4, $5)",
            user,
            course,
            name,
            [NOON + timedelta(hours=hour) for hour in waived],
            NOON + timedelta(hours=withdrawn) if withdrawn else None,
        )

    assert await known.read_waived(user, [course]) == {course: {"waived", "again"}}
    assert await known.read_waived(uuid4(), [course]) == {}
