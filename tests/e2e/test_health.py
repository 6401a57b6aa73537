"""What whole workers answer to /live and /ready while servers go away and come back."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events.models import CourseAccessed
from tests.databases import execute, new_settings
from tests.factories import NOW
from tests.outages import own_broker
from tests.processes import WorkerProcess, Workers, eventually
from tests.topics import publish
from worker.kafka.topic_settings import warn_of_topics
from worker.kafka.topics import admin_client
from worker.settings import Settings


def says(worker: WorkerProcess, path: str, status: int, text: str = "") -> Callable[[], Awaitable[bool]]:
    async def it_does() -> bool:
        response = await worker.get(path)
        return response.status_code == status and text in response.text

    it_does.__name__ = f"{path} is {status} {text}"
    return it_does


async def refuse_connections(admin_url: str, database: str) -> None:
    """Ends the database's connections, and lets it take no new one."""
    await execute(admin_url, f"alter database {database} allow_connections false")
    await execute(admin_url, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'")


async def test_a_worker_reports_its_share_of_the_workers_that_are_needed(settings: Settings, workers: Workers) -> None:
    worker = workers.start()

    async def nothing_to_do() -> bool:
        share = await worker.metric("progress_workers_needed")
        return share == {f'{{group="{settings.consumer_group}"}}': 0}

    await eventually(nothing_to_do)


async def test_kafka_that_goes_away_makes_a_worker_unready_and_not_dead_until_it_is_back(
    database_url: str, connection: asyncpg.Connection
) -> None:
    with own_broker() as broker:
        settings = await new_settings(database_url, broker.address)
        with Workers(settings) as workers:
            worker = workers.start()
            await eventually(says(worker, "/ready", 200))

            broker.stop()
            await eventually(says(worker, "/ready", 503, "does not answer"))
            assert (await worker.get("/live")).status_code == 200
            broker.go_on()
            await eventually(says(worker, "/ready", 200))

            await publish(settings, [(CourseAccessed(user_id=uuid4(), course_id=uuid4()), NOW)])

            async def applied() -> bool:
                return bool(await connection.fetchval("select count(*) from course_progress"))

            await eventually(applied)
            assert worker.stop() == 0


async def test_a_database_that_refuses_makes_a_worker_unready_and_its_lag_grow_until_it_is_back(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, admin_url: str
) -> None:
    worker = workers.start()
    await eventually(says(worker, "/ready", 200, "0,1,2,3"))
    name = await connection.fetchval("select current_database()")
    await refuse_connections(admin_url, name)
    await publish(settings, [(CourseAccessed(user_id=uuid4(), course_id=uuid4()), NOW) for _ in range(20)])

    async def old() -> bool:
        return max((await worker.metric("progress_lag_seconds")).values(), default=0) > 2

    await eventually(says(worker, "/ready", 503, "not currently accepting connections"))
    await eventually(old)
    assert (await worker.get("/live")).status_code == 200
    await execute(admin_url, f"alter database {name} allow_connections true")
    await eventually(says(worker, "/ready", 200))

    async def none_waits() -> bool:
        return sum((await worker.metric("progress_lag_events")).values()) == 0

    await eventually(none_waits)


async def test_an_idle_worker_without_its_database_is_unready_until_it_is_back(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, admin_url: str
) -> None:
    """No record comes: its lanes find out when they compare their offsets."""
    worker = workers.start()
    await eventually(says(worker, "/ready", 200, "0,1,2,3"))
    name = await connection.fetchval("select current_database()")

    await refuse_connections(admin_url, name)
    await eventually(says(worker, "/ready", 503, "not currently accepting connections"))
    assert (await worker.get("/live")).status_code == 200

    await execute(admin_url, f"alter database {name} allow_connections true")
    await eventually(says(worker, "/ready", 200))


async def test_a_worker_told_to_stop_while_a_batch_hangs_ends_cleanly_and_loses_nothing(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    worker = workers.start(rebalance_timeout_s=2)
    async with connection.transaction():
        await connection.execute("lock table course_progress_all in access exclusive mode")
        await publish(settings, [(CourseAccessed(user_id=uuid4(), course_id=uuid4()), NOW) for _ in range(20)])

        async def hangs() -> bool:
            waits = "select count(*) from pg_locks where not granted and relation = 'course_progress_all'::regclass"
            return bool(await connection.fetchval(waits))

        await eventually(hangs)
        status = worker.stop()

    assert status == 0
    assert workers.start("--until-idle").wait() == 0
    assert await connection.fetchval("select count(*) from course_progress") == 20


async def test_a_topic_that_forgets_dead_letters_is_warned_of_once_and_stops_nobody(
    settings: Settings, workers: Workers
) -> None:
    forgetful = ConfigResource(ConfigResourceType.TOPIC, settings.dead_letter_topic, {"retention.ms": "60000"})
    async with admin_client(settings) as admin:
        await admin.alter_configs([forgetful])

    async def is_known() -> bool:
        return bool(await warn_of_topics(settings))

    await eventually(is_known)
    worker = workers.start()
    await eventually(says(worker, "/ready", 200, "0,1,2,3"))

    [warning] = (await worker.get("/ready")).json()["warnings"]
    assert warning.startswith(f"topic {settings.dead_letter_topic} has retention.ms=60000,")
    assert [warning in line for line in worker.log.splitlines()].count(True) == 1


async def test_the_topics_that_this_system_creates_are_not_warned_of(settings: Settings, workers: Workers) -> None:
    worker = workers.start()
    await eventually(says(worker, "/ready", 200, "0,1,2,3"))

    assert (await worker.get("/ready")).json()["warnings"] == []
    assert "settings of the topics" not in worker.log


@pytest.mark.parametrize("path", ["/live", "/ready", "/metrics"])
async def test_what_a_scraper_asks_for_is_there(settings: Settings, workers: Workers, path: str) -> None:
    await eventually(says(workers.start(), path, 200))
