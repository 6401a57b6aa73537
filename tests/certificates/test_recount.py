"""A recount changes the completions of many learners at once, and of each certificate that is owed then one is issued.

ROWS=100000 make test ARGS=tests/certificates/test_recount.py plays it with so many progress rows.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import pytest

from events.catalog import CatalogLesson, CoursePublished
from events.models import COURSE_EVENTS, CourseCompleted, CourseEvent
from tests.catalogs import publish_versions, recount_all
from tests.certificates.desk import COURSE, Desk
from tests.certificates.owed import CertificateKey, find_owed
from tests.databases import MILESTONE
from tests.factories import at
from worker.settings import Settings

ROWS = int(os.environ.get("ROWS", "1000"))
BATCH = 1000  # course events
# What each version requires: some learners lose their completion, get one back under another number, or their first.
VERSIONS = ["ab", "abc", "ad", "ab"]
# Each learner has completed three of the four lessons, on average.
FILL = """
with done as (
    insert into lesson_progress (user_id, course_id, lesson_id, completed, changed_at, completed_at)
    select md5('learner ' || n)::uuid, $1, lesson, true, $3, $3
    from generate_series(1, $2::integer) n
    cross join unnest(array['a', 'b', 'c', 'd']) lesson
    where lesson = 'a' or (hashtext(lesson || n) >> 8) & 3 > 0
    returning *
)
insert into course_progress_all (user_id, course_id, lessons_completed, total_lessons, started_at, last_accessed_at)
select user_id, course_id, count(*), 100, min(completed_at), max(completed_at)
from done
group by user_id, course_id
"""
DESCRIBE = "insert into learner (user_id, described_at, name) select user_id, now(), 'Ada' from course_progress_all"


async def fill(desk: Desk) -> None:
    """Inserts ROWS learners with progress, whose names are known."""
    await desk.connection.execute("reset role")
    await desk.connection.execute(FILL, COURSE, ROWS, at(0))
    await desk.connection.execute(DESCRIBE)
    await desk.connection.execute("analyze")
    await desk.connection.execute("set role course_progress_effects")


async def recount(desk: Desk, settings: Settings, number: int, required: str) -> list[CourseEvent]:
    """Publishes a version, recounts every row, and returns the transitions that course events tell of."""
    lessons = tuple(CatalogLesson(lesson_id=id) for id in required)
    version = CoursePublished(course_id=COURSE, version=number, policy="reopen", lessons=lessons, title="Knots")
    await publish_versions(settings, [(version, at(number))])
    await recount_all(settings)
    waiting = await desk.take_announced()
    return [
        COURSE_EVENTS[row["type"]].model_validate_json(row["payload"]) for row in waiting if row["type"] != MILESTONE
    ]


async def deliver(desk: Desk, told: Sequence[CourseEvent], seed: int) -> Counter[CertificateKey]:
    """Tells of these events twice and in any order, performs, and counts what was issued."""
    twice = random.Random(seed).sample([*told, *told], 2 * len(told))
    for start in range(0, len(twice), BATCH):
        await desk.tell(*twice[start : start + BATCH])
    await desk.perform()
    return count_issued([json.loads(row["payload"]) | {"type": row["type"]} for row in await desk.take_announced()])


def count_issued(announced: Sequence[dict[str, object]]) -> Counter[CertificateKey]:
    assert {data["type"] for data in announced} <= {"CertificateIssued"}  # no version of a course revokes one
    return Counter(
        (UUID(str(data["user_id"])), UUID(str(data["course_id"])), int(str(data["course_version"])))
        for data in announced
    )


def announce_again(told: Sequence[CourseEvent]) -> list[CourseEvent]:
    """Makes completions of learners who have one: in the same version under another number, and in one that is new."""
    completed = [event for event in told if isinstance(event, CourseCompleted)]
    return [
        event.model_copy(update={"completion_number": event.completion_number + 50 + 50 * n, "course_version": version})
        for event in completed
        for n, version in enumerate((event.course_version, 9))
    ]


@pytest.mark.timeout(180 + ROWS // 10)
async def test_a_recount_issues_each_certificate_that_is_owed_once(desk: Desk, database_settings: Settings) -> None:
    await fill(desk)
    told: list[CourseEvent] = []
    issued: Counter[CertificateKey] = Counter()

    for number, required in enumerate(VERSIONS, start=1):
        news = await recount(desk, database_settings, number, required)
        issued += await deliver(desk, news, seed=number)
        told += news
        assert issued == Counter(find_owed(told).keys())
    more = announce_again(told)
    issued += await deliver(desk, more, seed=0)
    before = await desk.certificates()
    again = await deliver(desk, [*told, *more], seed=9)  # as a rewind does

    assert issued == Counter(find_owed([*told, *more]).keys())
    assert {version for _, _, version in issued} == {1, 3, 4, 9}
    assert max(event.completion_number for event in told) > 1
    assert (again, await desk.certificates(), await desk.waiting()) == (Counter(), before, [])
    assert {(row["issue"], row["status"]) for row in before} == {(1, "valid")}
