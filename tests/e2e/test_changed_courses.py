"""Courses change under learners, and devices know an old course or a made-up one: their versions decide.

Each kind of history is another learner's, in a course of its own. Half of it is there when the first worker works.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from events import CatalogLesson, CourseAccessed, CourseCatalogPublisher, CoursePublished, LessonCompleted
from tests.databases import transitions
from tests.factories import NOW
from tests.processes import Workers
from tests.topics import certificates, publish
from worker.settings import Settings

BEGAN = NOW - timedelta(days=100)
COMPLETED, REVOKED = "CourseCompleted", "CourseCompletionRevoked"


@dataclass(frozen=True)
class Did:
    """Completes a lesson on a device that takes the course to have `total` lessons."""

    lesson: str
    day: int
    total: int = 3


@dataclass(frozen=True)
class Opened:
    """Opens the course at a lesson."""

    lesson: str
    day: int


@dataclass(frozen=True)
class Version:
    """Publishes a version of these lessons; `new=old` stands for a lesson that replaces another."""

    number: int
    lessons: str
    day: int = 0
    policy: str = "grandfather"


@dataclass(frozen=True)
class Kind:
    """Describes a history in two parts, and how it must end."""

    what: str
    first: Sequence[Any]
    then: Sequence[Any]
    percentage: int
    announced: Sequence[str] = ()


KINDS = [
    Kind(
        "a lesson is removed that was the only one left",
        [Version(1, "a b c d e"), *(Did(id, 1, 5) for id in "abcd")],
        [Version(2, "a b c d", day=10)],
        100,
        [COMPLETED],
    ),
    Kind(
        "one of two lessons that were left is removed",
        [Version(1, "a b c d e"), *(Did(id, 1, 5) for id in "abc")],
        [Version(2, "a b c d", day=10)],
        75,
    ),
    Kind(
        "a lesson is removed, and the learner opens the course again",
        [Version(1, "a b c"), Did("c", 1), Did("a", 2)],
        [Version(2, "a c", day=10), Opened("a", 11)],
        100,
        [COMPLETED],
    ),
    Kind(
        "a removed lesson is done all the same",
        [Version(1, "a b c"), Did("a", 1)],
        [Version(2, "a b", day=10), Did("c", 11)],
        50,
    ),
    Kind(
        "a lesson is removed that was done",
        [Version(1, "a b c d"), Did("a", 1, 4), Did("b", 2, 4)],
        [Version(2, "a c d", day=10)],
        33,
    ),
    Kind(
        "a tablet has the course as it was, and shorter",
        [Version(1, "a b c"), Version(2, "a b c d e", day=10), Did("a", 1, 3), Did("b", 12, 5)],
        [Did("c", 13, 3)],
        60,
    ),
    Kind(
        "a tablet takes the course to have one lesson",
        [Version(1, "a b c d"), Did("b", 1, 4)],
        [Did("d", 2, 1), Did("a", 3, 1)],
        75,
    ),
    Kind(
        "a tablet has the course as it was, and longer",
        [Version(1, "a b"), Did("a", 1, 9)],
        [Did("b", 2, 9)],
        100,
        [COMPLETED],
    ),
    Kind(
        "a tablet was offline when the course grew, and its learner had done all of it",
        [Version(1, "a b c"), Version(2, "a b c d e", day=10), Did("a", 1), Did("b", 2)],
        [Did("c", 9)],
        100,
        [COMPLETED],
    ),
    Kind(
        "the same, and the owner reopens the course",
        [Version(1, "a b c"), Version(2, "a b c d e", day=10, policy="reopen"), Did("a", 1), Did("b", 2)],
        [Did("c", 9)],
        60,
    ),
    Kind(
        "a lesson is done and then replaced",
        [Version(1, "a b c"), Did("a", 1), Did("b", 2)],
        [Version(2, "a b2 c", day=10), Did("c", 11)],
        67,
    ),
    Kind(
        "a lesson is done and then replaced, before its version is known",
        [Did("a", 1), Did("b", 2), Version(2, "a b2 c", day=10)],
        [Did("c", 11), Version(1, "a b c")],
        67,
    ),
    Kind(
        "a lesson is done and gets another id",
        [Version(1, "a b c"), Did("a", 1), Did("b", 2)],
        [Version(2, "a b2=b c", day=10), Did("c", 11)],
        100,
        [COMPLETED],
    ),
    Kind(
        "a lesson is done and gets another id twice",
        [Version(1, "a b"), Version(2, "a b2=b", day=10), Did("b", 1)],
        [Version(3, "a b3=b2", day=20), Did("a", 21)],
        100,
        [COMPLETED],
    ),
    Kind(
        "a lesson is replaced after the course was complete",
        [Version(1, "a b"), Did("a", 1, 2), Did("b", 2, 2)],
        [Version(2, "a b2", day=10)],
        100,
        [COMPLETED],
    ),
    Kind(
        "the same, and the owner reopens the course, too",
        [Version(1, "a b"), Did("a", 1, 2), Did("b", 2, 2)],
        [Version(2, "a b2", day=10, policy="reopen")],
        50,
        [COMPLETED, REVOKED],
    ),
    Kind(
        "a lesson is made up, of a course of one lesson",
        [Version(1, "a b")],
        [Did("made-up", 1, 1)],
        0,
    ),
    Kind(
        "as many lessons are made up as the course has",
        [Version(1, "a b"), Did("x", 1, 2)],
        [Did("y", 2, 2), Did("z", 3, 1)],
        0,
    ),
    Kind(
        "a lesson is made up, and a later version has one of its name",
        [Version(1, "a b")],
        [Did("c", 1, 1), Version(2, "a c", day=10)],
        50,
    ),
]


def happened(step: Any, user: UUID, course: UUID) -> tuple[Any, datetime]:
    """Builds the event of a step, and when it happened."""
    at = BEGAN + timedelta(days=step.day)
    match step:
        case Did():
            ids = {"user_id": user, "course_id": course}
            return LessonCompleted(**ids, lesson_id=step.lesson, total_lessons=step.total), at
        case Opened():
            return CourseAccessed(user_id=user, course_id=course, lesson_id=step.lesson), at
    named = [lesson.partition("=") for lesson in step.lessons.split()]
    lessons = [CatalogLesson(lesson_id=id, replaces=[old] if old else []) for id, _, old in named]
    return CoursePublished(course_id=course, version=step.number, policy=step.policy, lessons=lessons), at


async def let_happen(settings: Settings, workers: Workers, events: Sequence[tuple[Any, datetime]]) -> None:
    """Publishes versions and has a worker store them, then the other events and has a worker apply them.

    In this order, because a course counts by totals until its first version is stored.
    """
    versions = [(event, at) for event, at in events if isinstance(event, CoursePublished)]
    topic = settings.course_catalog_topic
    async with CourseCatalogPublisher(settings.kafka_bootstrap_servers, topic=topic) as publisher:
        await publisher.publish_many(versions)
    assert await asyncio.to_thread(workers.start("--until-idle").wait) == 0
    await publish(settings, [(event, at) for event, at in events if not isinstance(event, CoursePublished)])
    assert await asyncio.to_thread(workers.start("--until-idle").wait) == 0


async def test_a_course_is_what_its_versions_say_whatever_devices_take_it_for(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    who = {kind.what: (uuid4(), uuid4()) for kind in KINDS}

    await let_happen(settings, workers, [happened(step, *who[kind.what]) for kind in KINDS for step in kind.first])
    await let_happen(settings, workers, [happened(step, *who[kind.what]) for kind in KINDS for step in kind.then])

    rows = await connection.fetch("select user_id, progress_percentage from course_progress")
    percentages = {row["user_id"]: row["progress_percentage"] for row in rows}
    announced = defaultdict(list)
    number = await transitions(connection)
    for received in (await certificates(settings, number)).values():
        announced[received.event.user_id].append(type(received.event).__name__)
    found = {what: (percentages[user], announced[user]) for what, (user, _) in who.items()}
    assert found == {kind.what: (kind.percentage, list(kind.announced)) for kind in KINDS}
