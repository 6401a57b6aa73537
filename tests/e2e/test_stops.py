"""A worker that stops by itself says last, in one line, why, at which partition and offset, and what to do."""

import signal
import socket
from uuid import uuid4

import asyncpg
import pytest

from events.models import CourseAccessed, LessonCompleted
from tests.databases import count_applied, wait_until_applied
from tests.factories import NOW
from tests.processes import WorkerProcess, Workers, eventually
from tests.topics import publish, recreate
from worker.settings import Settings


async def publish_some(settings: Settings, number: int) -> None:
    user = uuid4()  # one partition
    events = [LessonCompleted(user_id=user, course_id=uuid4(), lesson_id="1", total_lessons=1) for _ in range(number)]
    await publish(settings, [(event, NOW) for event in events])


async def test_a_bug_names_the_offsets_of_its_batch_and_none_of_it_is_applied(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        # An error of a class that nobody foresaw, after which nothing is known to help.
        "create function fails() returns trigger language plpgsql as "
        "$$ begin raise exception 'unforeseen' using errcode = 'XX000'; end $$"
    )
    await connection.execute("create trigger t before insert on course_progress_all execute function fails()")
    await publish_some(settings, 30)

    worker = workers.start()

    assert worker.wait() == 1
    reason = worker.last_line["reason"]
    assert f"{settings.lesson_events_topic}[" in reason
    assert "offsets 0-29" in reason
    assert "unforeseen" in reason
    assert "report it" in reason
    assert "Traceback" in worker.log
    assert await count_applied(connection) == 0


async def test_a_missing_table_names_the_offsets_and_the_command(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    worker = workers.start()
    await publish_some(settings, 1)

    await wait_until_applied(connection, 1)
    await connection.execute("drop table lesson_progress cascade")
    await publish_some(settings, 1)

    assert worker.wait() == 1
    assert "course-progress migrate" in worker.last_line["reason"]
    assert "offsets" in worker.last_line["reason"]


async def test_an_outbox_row_that_nobody_knows_names_its_partition(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        """
        insert into outbox (id, aggregatetype, aggregateid, type, payload, occurred_at, source_topic, source_partition)
        values ($1, 'course', 'x', 'CourseRated', '{}', now(), $2, 2)
        """,
        uuid4(),
        settings.lesson_events_topic,
    )

    worker = workers.start()

    assert worker.wait() == 1
    assert f"{settings.lesson_events_topic}[2]" in worker.last_line["reason"]
    assert "CourseRated" in worker.last_line["reason"]


async def test_of_two_workers_with_one_static_id_one_stops_at_least_and_the_line_names_the_setting(
    settings: Settings, workers: Workers
) -> None:
    both = [workers.start(group_instance_id="same") for _ in range(2)]

    async def one_stopped() -> bool:
        return any(worker.process.poll() is not None for worker in both)

    await eventually(one_stopped)

    stopped = [worker for worker in both if worker.process.poll() is not None]
    assert {worker.wait() for worker in stopped} == {1}
    assert all("PROGRESS_GROUP_INSTANCE_ID=same" in worker.last_line["reason"] for worker in stopped)


async def test_a_recreated_topic_stops_the_worker_with_one_line_that_says_what_to_do(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "insert into consumed_offset values ($1, $2, 1, 500)", settings.consumer_group, settings.lesson_events_topic
    )

    worker = workers.start()

    assert worker.wait() == 1
    assert f"{settings.lesson_events_topic}[1] ends at 0 but 500 is stored" in worker.last_line["reason"]


async def test_a_topic_recreated_under_a_running_worker_stops_it(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    user = uuid4()  # one partition
    await publish(settings, [(CourseAccessed(user_id=user, course_id=uuid4()), NOW) for _ in range(50)])
    worker = workers.start()

    async def applied() -> bool:
        return await connection.fetchval("select count(*) from course_progress") == 50

    await eventually(applied)
    worker.process.send_signal(signal.SIGSTOP)
    await recreate(settings)
    await publish(settings, [(CourseAccessed(user_id=user, course_id=uuid4()), NOW) for _ in range(30)])
    worker.process.send_signal(signal.SIGCONT)

    assert worker.wait() == 1
    assert "the topic was recreated" in worker.last_line["reason"]


@pytest.mark.parametrize("env", ["development", "production"])
def test_kafka_that_is_away_stops_a_worker_with_one_line(database_settings: Settings, env: str) -> None:
    process = WorkerProcess(database_settings.model_copy(update={"environment": env}))

    status, log = process.wait(), process.log
    process.close()

    assert status == 1
    assert "127.0.0.1:1" in log.splitlines()[-1]


async def test_a_taken_port_stops_a_worker_before_it_joins_the_group(settings: Settings, workers: Workers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        worker = workers.start(http_port=taken.getsockname()[1])

        assert worker.wait() == 1

    assert "PROGRESS_HTTP_PORT" in worker.last_line["reason"]
    assert "partitions assigned" not in worker.log


async def test_a_missing_topic_stops_a_worker_with_one_line(settings: Settings, workers: Workers) -> None:
    worker = workers.start(environment="production", lesson_events_topic="lesson-event")

    assert worker.wait() == 1

    assert "topic lesson-event does not exist" in worker.last_line["reason"]
    assert "Unclosed" not in worker.log


async def test_a_worker_stops_while_a_statement_hangs_and_the_next_one_applies_the_batch(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    """No step of the stop waits as long as a statement may take."""
    patient = {"database_timeout_s": 3600, "database_lock_timeout_s": 3600, "rebalance_timeout_s": 3600}
    worker = workers.start(**patient)
    await publish_some(settings, 1)
    await wait_until_applied(connection, 1)
    async with connection.transaction():
        await connection.execute("lock table course_progress_all in access exclusive mode")
        await publish_some(settings, 1)

        async def hangs() -> bool:
            return await connection.fetchval("select count(*) from pg_locks where not granted") > 0

        await eventually(hangs)

        assert worker.stop() == 0
        assert "are left to the next worker" in worker.log
        assert "Traceback" not in worker.log

    workers.start()
    await wait_until_applied(connection, 2)
