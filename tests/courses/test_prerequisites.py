"""Which lessons are to be completed before another, by what is stored and by what a batch says so far."""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalog import CatalogLesson, CoursePublished
from events.models import (
    CourseAccessed,
    LessonCompleted,
    LessonEvent,
    LessonUncompleted,
    LessonWaived,
    LessonWaiverWithdrawn,
    ProgressReset,
)
from tests.catalogs import Published, date_lessons, drop_forgotten, publish_versions
from tests.databases import Database, publish_version
from tests.deliveries import GRAPH_LESSONS, Delivery, deliveries, draw_graphs, events, real_sql
from tests.factories import COURSE, OTHER_USER, USER, at, completed, reset, uncompleted
from worker.courses.prerequisites import (
    KEPT_BYTES,
    Fact,
    MissingLesson,
    Prerequisites,
    Sent,
    describe_missing,
    find_missing,
)
from worker.learners.reads import ProgressReader
from worker.postgres.pool import connect_pool
from worker.progress.store import Store
from worker.progress.version_reference import find_equals
from worker.settings import Settings

EVERY_KIND = (LessonCompleted, LessonCompleted, LessonUncompleted, LessonWaived, LessonWaiverWithdrawn, ProgressReset)


class Learners(Database):
    """Applies events and versions as a worker does, and asks what is missing."""

    def __init__(self, settings: Settings, connection: asyncpg.Connection, reads: ProgressReader) -> None:
        super().__init__(Store(settings), connection)
        self._settings = settings
        self.reads = reads

    async def empty(self) -> None:
        await super().empty()
        tables = "course_version, course_lesson, course_replacement, course_recount, lesson_waiver"
        await self.connection.execute(f"truncate {tables}")

    async def publish(self, published: Iterable[Published]) -> None:
        await publish_versions(self._settings, published)

    async def find_missing(self, sent: list[Sent], version: int, user: UUID = USER) -> list[list[str]]:
        found = await Prerequisites().find_missing(self.reads, user, sent, {COURSE: version})
        return [[lesson.lesson_id for lesson in missing] for missing in found]


@pytest.fixture
async def reads(database_settings: Settings) -> AsyncIterator[ProgressReader]:
    pool = await connect_pool(database_settings)
    yield ProgressReader(pool)
    await pool.close()


@pytest.fixture
async def learners(
    database_settings: Settings, connection: asyncpg.Connection, reads: ProgressReader
) -> AsyncIterator[Learners]:
    learners = Learners(database_settings, connection, reads)
    await learners.empty()
    yield learners
    await learners.store.close()


# Any graph, any history


def by_number(published: Iterable[Published]) -> dict[int, Published]:
    found: dict[int, Published] = {}
    for entry in published:
        found.setdefault(entry[0].version, entry)
    return found


def expect_missing(
    sent: list[Sent], stored: list[tuple[LessonEvent, datetime]], published: Mapping[int, Published]
) -> list[list[str]]:
    """States the rule: met is what the rules say of all events so far, or of those of the batch alone."""
    newest = {lesson.lesson_id: lesson for lesson in published[max(published)][0].lessons}
    before: list[tuple[LessonEvent, datetime]] = []
    found: list[list[str]] = [[] for _ in sent]
    for place in sorted(range(len(sent)), key=lambda place: sent[place][1]):
        event, _ = sent[place]
        known = date_lessons(drop_forgotten(before)).keys() | date_lessons(drop_forgotten([*stored, *before])).keys()
        done = {id for id in known if is_completed(id, stored, before)}
        if isinstance(event, LessonCompleted) and event.lesson_id in newest and event.lesson_id not in done:
            required = newest[event.lesson_id].requires
            found[place] = [id for id in required if not find_equals(id, published) & known]
        if not found[place]:
            before.append(sent[place])
    return found


def is_completed(lesson: str, *histories: list[tuple[LessonEvent, datetime]]) -> bool:
    """Tells whether the lesson itself is completed, and not only waived."""
    stored, before = histories
    without = [
        [entry for entry in history if not isinstance(entry[0], LessonWaived)]
        for history in (before, [*stored, *before])
    ]
    return any(lesson in date_lessons(drop_forgotten(history)) for history in without)


@st.composite
def batches(draw: st.DrawFn) -> list[Sent]:
    """Draws what a device sends: events of USER, no two at the same time."""
    kinds = (LessonCompleted, LessonCompleted, LessonCompleted, LessonUncompleted, CourseAccessed, ProgressReset)
    drawn = draw(st.lists(events(*kinds), min_size=1, max_size=6, unique_by=lambda sent: sent[1]))
    return [(event.model_copy(update={"user_id": USER}), when) for event, when in drawn]


@pytest.mark.timeout(600)
@real_sql
@given(delivery=deliveries(*EVERY_KIND), published=draw_graphs(), batch=batches())
async def test_the_door_refuses_what_the_rules_do_not_call_met(
    learners: Learners, delivery: Delivery, published: list[Published], batch: list[Sent]
) -> None:
    await learners.empty()
    await learners.publish(published)
    for part in delivery.batches:
        await learners.apply(part)
    known = by_number(published)
    clicks = [(LessonCompleted(user_id=USER, course_id=COURSE, lesson_id=name), at(9)) for name in GRAPH_LESSONS]

    for user in (USER, OTHER_USER):
        stored = [entry for entry in delivery.happened if entry[0].user_id == user]
        for click in clicks:
            assert await learners.find_missing([click], max(known), user) == expect_missing([click], stored, known)
        assert await learners.find_missing(batch, max(known), user) == expect_missing(batch, stored, known)


# Examples


def chain(version: int = 1, *, title: str | None = None) -> CoursePublished:
    """Builds a course of a, b and c, each of which requires the one before."""
    lessons = (
        CatalogLesson(lesson_id="a", title=title),
        CatalogLesson(lesson_id="b", requires=("a",)),
        CatalogLesson(lesson_id="c", requires=("b",)),
    )
    return CoursePublished(course_id=COURSE, version=version, lessons=lessons)


REQUIRES = {COURSE: {"b": ("a",), "c": ("b",)}}


@pytest.mark.parametrize(
    ("sent", "missing"),
    [
        ([completed("b", 1)], [("a",)]),
        ([completed("a", 1), completed("b", 2), completed("c", 3)], [(), (), ()]),
        ([completed("b", 2), completed("a", 1)], [(), ()]),
        ([completed("b", 1), completed("a", 2)], [("a",), ()]),
        ([completed("b", 1), completed("c", 2)], [("a",), ("b",)]),
        ([completed("a", 1), uncompleted("a", 2), completed("b", 3)], [(), (), ("a",)]),
        ([completed("a", 1), reset(2), completed("b", 3)], [(), (), ("a",)]),
        ([uncompleted("b", 1)], [()]),
    ],
    ids=["one", "in turn", "times decide", "too early", "refused counts not", "taken back", "started over", "back"],
)
def test_a_batch_counts_in_the_order_of_its_times(sent: list[Sent], missing: list[tuple[str, ...]]) -> None:
    nothing = {(COURSE, id): [Fact(id, False, None, None)] for id in "abc"}

    assert find_missing(sent, REQUIRES, nothing) == missing


def test_what_is_completed_may_be_completed_again_though_a_prerequisite_was_added() -> None:
    facts = {(COURSE, id): [Fact(id, id == "b", at(1) if id == "b" else None, None)] for id in "abc"}

    assert find_missing([completed("b", 2), completed("c", 3)], REQUIRES, facts) == [(), ()]


async def test_a_missing_lesson_has_its_title(
    connection: asyncpg.Connection, learners: Learners, reads: ProgressReader
) -> None:
    await publish_version(connection, chain(title="Basics"))
    click = (LessonCompleted(user_id=USER, course_id=COURSE, lesson_id="b"), at(1))

    assert await Prerequisites().find_missing(reads, USER, [click], {COURSE: 1}) == [(MissingLesson("a", "Basics"),)]


async def test_the_newest_version_counts_at_once(connection: asyncpg.Connection, learners: Learners) -> None:
    await publish_version(connection, chain())
    await publish_version(connection, CoursePublished(course_id=COURSE, version=2, lessons=[{"lesson_id": "b"}]))
    prerequisites = Prerequisites()
    click = (LessonCompleted(user_id=USER, course_id=COURSE, lesson_id="b"), at(1))

    found = [
        await prerequisites.find_missing(learners.reads, USER, [click], {COURSE: version}) for version in (1, 2, 1)
    ]

    assert [len(missing) for [missing] in found] == [1, 0, 1]


class CountingReader(ProgressReader):
    """Counts what it is asked."""

    asked: list[str]

    async def fetch(self, name: str, *arguments: object) -> list[asyncpg.Record]:
        self.asked.append(name)
        return await super().fetch(name, *arguments)


async def test_a_course_without_prerequisites_is_asked_about_once_and_never_about_its_learners(
    connection: asyncpg.Connection, database_settings: Settings
) -> None:
    plain, unversioned = uuid4(), uuid4()
    lessons = [{"lesson_id": "a"}, {"lesson_id": "b"}]
    await publish_version(connection, CoursePublished(course_id=plain, version=1, lessons=lessons))
    prerequisites = Prerequisites()
    pool = await connect_pool(database_settings)
    reader = CountingReader(pool)
    reader.asked = []

    for _ in range(3):
        for course in (plain, unversioned):
            event = LessonCompleted(user_id=USER, course_id=course, lesson_id="b")
            versions = {plain: 1, unversioned: 0}
            assert await prerequisites.find_missing(reader, USER, [(event, at(1))], versions) == [()]

    assert reader.asked == ["courses/requires_of_version"]
    await pool.close()


async def test_what_is_remembered_of_versions_is_bounded(connection: asyncpg.Connection, learners: Learners) -> None:
    prerequisites = Prerequisites()
    many = [f"{number:04}" for number in range(2000)]
    lessons = [{"lesson_id": id, "title": "t" * 300, "requires": many[:1] if id != many[0] else []} for id in many]
    for _ in range(12):
        course = uuid4()
        await publish_version(connection, CoursePublished(course_id=course, version=1, lessons=lessons))
        click = (LessonCompleted(user_id=USER, course_id=course, lesson_id=many[1]), at(1))

        [[missing]] = await prerequisites.find_missing(learners.reads, USER, [click], {course: 1})

        assert missing.lesson_id == many[0]
    assert 1 < len(prerequisites._known) < 12
    assert prerequisites._known.currsize <= KEPT_BYTES


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["Basics"], "Complete “Basics” first"),
        (["Basics", "Verbs"], "Complete “Basics” and “Verbs” first"),
        (["A", "B", "C"], "Complete “A”, “B” and “C” first"),
        (["A", "B", "C", "D", "E"], "Complete “A”, “B”, “C” and 2 more first"),
        (["x" * 200], f"Complete “{'x' * 79}…” first"),
    ],
)
def test_a_person_is_told_what_to_complete(names: list[str], said: str) -> None:
    assert describe_missing([MissingLesson("id", name) for name in names]) == said
    assert describe_missing([MissingLesson(name, None) for name in names]) == said
