"""Publishes versions of courses to a database, recounts its rows, and says what their rules make of events."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import asyncpg

from events.catalog import AtLeast, CatalogLesson, CoursePublished
from events.models import LessonCompleted, LessonUncompleted, LessonWaived, LessonWaiverWithdrawn, ProgressReset
from tests.factories import Happened
from worker.courses.catalog_sink import CatalogSink
from worker.courses.recount import Recount
from worker.progress.fold import CourseKey
from worker.progress.version_reference import Standing, find_standing
from worker.settings import Settings
from worker.stream.batch import Batch
from worker.stream.outcome import Occurrence, Record

Published: TypeAlias = tuple[CoursePublished, datetime]
NOWHERE = ("course-catalog", 0)
MET = [(LessonCompleted, LessonUncompleted), (LessonWaived, LessonWaiverWithdrawn)]

STANDINGS = """
select user_id, course_id, course_version, lessons_completed, total_lessons, completed_at
from course_progress where course_id = any($1)
"""


async def publish_versions(settings: Settings, published: Iterable[Published]) -> None:
    """Stores versions as a worker does, durably. No stored offset moves, and no progress row is recounted yet."""
    record = Record(*NOWHERE, 0, -1, 0, None, b"", None, 0, 0, ())
    batch = Batch([(record, Occurrence(at, version, *NOWHERE)) for version, at in published], {})
    sink = CatalogSink(settings, settings.catalog_group)
    try:
        await sink.apply_batch(batch)
    finally:
        await sink.close()


async def recount_all(settings: Settings) -> None:
    """Recounts every course that waits for it, at full speed. Course events are put into the outbox."""
    recount = Recount(settings, lambda: None)
    recount._partitions = [0]  # nobody publishes the course events
    try:
        while await recount.recount_chunk():
            pass
    finally:
        await recount.on_stop()


def draw_version(rng: random.Random, course: UUID, number: int, lessons: Sequence[str]) -> CoursePublished:
    """Draws a version of a course of some of these lessons, at least one of them required."""
    kept = rng.sample(lessons, rng.randint(1, len(lessons)))
    needless = {id for id in kept[1:] if rng.random() < 0.2}
    renamed = {id: tuple(other for other in [rng.choice(lessons)] if other != id) for id in kept if rng.random() < 0.15}
    return CoursePublished(
        course_id=course,
        version=number,
        policy=rng.choice(["grandfather", "reopen"]),
        rule=rng.choice(["all", "all", AtLeast(at_least=rng.randint(1, len(kept) - len(needless)))]),
        lessons=[CatalogLesson(lesson_id=id, required=id not in needless, replaces=renamed.get(id, ())) for id in kept],
    )


def expect_standings(happened: Iterable[Happened], published: Iterable[Published]) -> dict[CourseKey, Standing]:
    """Returns the standing of each learner in each course that has a version and an event that counts.

    Of one version's number the first in `published` counts.
    """
    versions: dict[UUID, dict[int, Published]] = defaultdict(dict)
    for version, at in published:
        versions[version.course_id].setdefault(version.version, (version, at))
    histories: dict[CourseKey, list[Happened]] = defaultdict(list)
    for event, at in happened:
        if event.course_id in versions:
            histories[event.user_id, event.course_id].append((event, at))
    counting = {key: drop_forgotten(history) for key, history in histories.items()}
    return {key: find_standing(versions[key[1]], date_lessons(history)) for key, history in counting.items() if history}


def drop_forgotten(history: Iterable[Happened]) -> list[Happened]:
    """Returns the events after the latest reset (rule 6)."""
    history = list(history)
    since = max((at for event, at in history if isinstance(event, ProgressReset)), default=None)
    return [(event, at) for event, at in history if since is None or at > since]


def date_lessons(history: Sequence[Happened]) -> dict[str, datetime]:
    """Returns the first completion or waiver of each lesson that is completed or waived now."""
    states: dict[tuple[str, type], tuple[datetime, bool]] = {}
    dates: dict[str, list[datetime]] = defaultdict(list)
    for yes, no in MET:
        said = [(event.lesson_id, (at, isinstance(event, yes))) for event, at in history if isinstance(event, yes | no)]
        for lesson, state in said:
            states[lesson, yes] = max(states.get((lesson, yes), state), state)
        for lesson, (at, so) in said:
            if so and states[lesson, yes][1]:
                dates[lesson].append(at)
    return {lesson: min(found) for lesson, found in dates.items()}


async def read_standings(connection: asyncpg.Connection, courses: Iterable[UUID]) -> dict[CourseKey, Standing]:
    """Reads what readers see of these courses, in the form in which `expect_standings` returns it."""
    rows = await connection.fetch(STANDINGS, list(courses))
    return {(row["user_id"], row["course_id"]): Standing(*list(row.values())[2:]) for row in rows}


def find_wrong_standings(
    wanted: dict[CourseKey, Standing], found: dict[CourseKey, Standing], published: Iterable[Published]
) -> list[str]:
    """Returns a line per learner whose standing is missing, superfluous or different, with the course's versions."""
    versions: dict[UUID, list[str]] = defaultdict(list)
    for version, at in published:
        versions[version.course_id].append(f"{at}: {version!r}")
    return [
        f"{key}: wanted {wanted.get(key)}, found {found.get(key)}, versions {versions[key[1]]}"
        for key in sorted(wanted.keys() | found.keys())
        if wanted.get(key) != found.get(key)
    ]
