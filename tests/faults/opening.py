"""Opens the scene of one round: its own database, topics and consumer group, on servers that are up."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

from tests.faults.comparison import AUDIT
from tests.faults.scene import PARTITIONS, SESSION_TIMEOUT_S, Scene
from tests.faults.servers import Servers
from worker.kafka.topics import create_missing
from worker.postgres.migrate import migrate
from worker.settings import Settings

# Workers, and the processes of effects, have the same rights as in production.
WORKER_LOGIN = """
do $$ begin
    create role faults_worker login in role course_progress_worker;
exception when duplicate_object then null;
end $$;
do $$ begin
    create role faults_effects login in role course_progress_effects;
exception when duplicate_object then null;
end $$;
"""


@asynccontextmanager
async def open_scene(servers: Servers, seed: int, **changed: object) -> AsyncIterator[Scene]:
    """Opens a scene with its own database, topics and consumer group, on servers that are up."""
    mark = uuid4().hex[:10]
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="course-progress-faults-")))
        settings = worker_settings(servers, mark).model_copy(update=changed)
        made = Scene(servers, settings, f"faults_{mark}", seed, directory)
        await made.administer(f"create database {made.database}")
        await migrate(made.direct)
        await made.execute(AUDIT)
        await made.execute(WORKER_LOGIN)
        await create_missing(made.direct)
        await stack.enter_async_context(made.kafka)
        await stack.enter_async_context(made.postgres)
        stack.push_async_callback(made.close)
        yield made


def worker_settings(servers: Servers, mark: str) -> Settings:
    """Returns the workers' settings: the proxies are their servers."""
    return Settings(
        database_url=servers.database.url(f"faults_{mark}", servers.database_proxy_port, user="faults_worker"),
        database_timeout_s=10,
        kafka_bootstrap_servers=f"127.0.0.1:{servers.kafka_proxy_port}",
        consumer_group=f"faults-{mark}",
        lesson_events_topic=f"lesson-events-{mark}",
        course_catalog_topic=f"course-catalog-{mark}",
        course_events_topic=f"course-events-{mark}",
        learners_topic=f"learners-{mark}",
        dead_letter_topic=f"lesson-events-{mark}.dlq",
        topic_partitions=PARTITIONS,
        session_timeout_s=SESSION_TIMEOUT_S,
        rebalance_timeout_s=10,
        batch_size=100,
        http_port=0,
        environment="production",  # the suite creates topics and tables, as their owners do
        log_format="json",
    )
