"""A topic that was deleted and created again stops whole workers, however long its log is."""

import json
from uuid import uuid4

import asyncpg

from events.models import CourseAccessed
from tests.factories import NOW
from tests.processes import Workers, eventually
from tests.topics import publish, recreate
from worker.settings import Settings

USER = uuid4()  # one partition


async def accesses(settings: Settings, number: int) -> None:
    await publish(settings, [(CourseAccessed(user_id=USER, course_id=uuid4()), NOW) for _ in range(number)])


async def test_a_recreated_topic_that_has_grown_beyond_the_stored_offset_stops_a_worker(
    settings: Settings, workers: Workers
) -> None:
    await accesses(settings, 20)
    assert workers.start("--until-idle").wait() == 0
    await recreate(settings)
    await accesses(settings, 50)

    worker = workers.start()

    assert worker.wait() == 1
    assert_stopped_for_another_topic(worker.log)


async def test_a_topic_recreated_under_a_worker_with_nothing_to_read_stops_it(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await accesses(settings, 20)
    worker = workers.start()

    async def applied() -> bool:
        return await connection.fetchval("select count(*) from course_progress") == 20

    await eventually(applied)
    await recreate(settings)

    assert worker.wait() == 1
    assert_stopped_for_another_topic(worker.log)


def assert_stopped_for_another_topic(log: str) -> None:
    last = json.loads(log.splitlines()[-1])
    assert last["error"] == "TopicRecreated"
    assert "course-progress rewind --to earliest" in last["reason"]
