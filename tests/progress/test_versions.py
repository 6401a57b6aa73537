"""Versions of a course decide, in whatever order they, the events and a recount come: rules 8 to 11 on real SQL."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from hypothesis import assume, given
from hypothesis import strategies as st

from events.catalog import AtLeast, CatalogLesson, CoursePublished
from events.models import CourseAccessed, LessonCompleted, ProgressReset
from tests.databases import Database
from tests.deliveries import Delivery, deliveries, real_sql
from tests.factories import COURSE, at
from worker.courses.catalog_sink import CatalogSink
from worker.courses.recount import Recount
from worker.progress.store import Store
from worker.progress.version_reference import Standing, find_standing
from worker.settings import Settings
from worker.stream.batch import Batch
from worker.stream.outcome import Occurrence, Record
from worker.stream.sink import Applied, Span

Published = tuple[CoursePublished, datetime]
NAMES = ["ä", "b", "c", "d"]
CATALOG = TopicPartition("course-catalog", 0)
RECOUNT = "recount"


class Courses(Database):
    """Publishes versions and recounts rows as a worker does, beside the batches of lesson events."""

    def __init__(self, settings: Settings, connection: asyncpg.Connection) -> None:
        super().__init__(Store(settings), connection)
        self.sink = CatalogSink(settings, "catalog")
        self.recount = Recount(settings, lambda: None)
        self.recount._partitions = [0]

    async def empty(self) -> None:
        await super().empty()
        await self.connection.execute("truncate course_version, course_lesson, course_replacement, course_recount")
        self.published = 0

    async def publish(self, version: CoursePublished, published_at: datetime) -> None:
        record = Record(*CATALOG, self.published, -1, 0, None, b"", None, 0, 0, ())
        batch = Batch(
            [(record, Occurrence(published_at, version, *CATALOG))],
            {CATALOG: Span(self.published or None, self.published + 1)},
        )
        assert isinstance(await self.sink.apply_batch(batch), Applied)
        self.published += 1

    async def recount_all(self) -> None:
        while await self.recount.recount_chunk():
            pass

    async def standings(self) -> dict[Any, Standing]:
        rows = await self.connection.fetch(
            "select user_id, course_version, lessons_completed, total_lessons, completed_at from course_progress"
        )
        return {row["user_id"]: Standing(*list(row.values())[1:]) for row in rows}


@pytest.fixture
async def courses(database_settings: Settings, connection: asyncpg.Connection) -> AsyncIterator[Courses]:
    courses = Courses(database_settings, connection)
    yield courses
    await courses.store.close()
    await courses.sink.close()
    await courses.recount.on_stop()


@st.composite
def versions(draw: st.DrawFn) -> list[Published]:
    """Draws up to four versions of one course. Few lessons and instants exist, so that they meet."""
    numbers = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4, unique=True))
    return [(draw(version(number)), at(draw(st.integers(0, 8)))) for number in numbers]


@st.composite
def version(draw: st.DrawFn, number: int) -> CoursePublished:
    ids = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    lessons = [
        CatalogLesson(
            lesson_id=id,
            required=draw(st.sampled_from([True, True, True, False])),
            replaces=tuple(draw(st.sampled_from([[], [], [], [name for name in NAMES if name != id][:1]]))),
        )
        for id in ids
    ]
    required = sum(lesson.required for lesson in lessons)
    assume(required)
    rule = draw(st.sampled_from(["all", "all", AtLeast(at_least=draw(st.integers(1, required)))]))
    policy = draw(st.sampled_from(["grandfather", "reopen"]))
    return CoursePublished(course_id=COURSE, version=number, policy=policy, rule=rule, lessons=tuple(lessons))


def expect(happened: list[Any], published: list[Published]) -> dict[Any, Standing]:
    """Returns the standing of each learner with an event that counts."""
    known = {version.version: (version, when) for version, when in published}
    found = {}
    for user in {event.user_id for event, _ in happened}:
        mine = [(event, when) for event, when in happened if event.user_id == user]
        since = max((when for event, when in mine if isinstance(event, ProgressReset)), default=None)
        counting = [(event, when) for event, when in mine if since is None or when > since]
        if counting:
            found[user] = find_standing(known, date_lessons(counting))
    return found


def date_lessons(events: list[Any]) -> dict[str, datetime]:
    """Returns the first completion of each lesson that is completed now."""
    states: dict[str, tuple[datetime, bool]] = {}
    first: dict[str, datetime] = {}
    for event, when in events:
        if isinstance(event, CourseAccessed):
            continue
        done = isinstance(event, LessonCompleted)
        states[event.lesson_id] = max(states.get(event.lesson_id, (when, done)), (when, done))
        if done:
            first[event.lesson_id] = min(first.get(event.lesson_id, when), when)
    return {lesson: first[lesson] for lesson, (_, done) in states.items() if done}


@real_sql
@given(delivery=deliveries(LessonCompleted, LessonCompleted, CourseAccessed), published=versions(), data=st.data())
async def test_any_order_of_events_versions_and_recounts_ends_as_the_rules_say(
    courses: Courses, delivery: Delivery, published: list[Published], data: st.DataObject
) -> None:
    await courses.empty()
    steps = data.draw(st.permutations([*delivery.batches, *published, RECOUNT, RECOUNT]))

    for step in steps:
        match step:
            case list():
                await courses.apply(step)
            case (CoursePublished() as version, when):
                await courses.publish(version, when)
            case _:
                await courses.recount_all()
    await courses.recount_all()

    assert await courses.standings() == expect(delivery.happened, published)
