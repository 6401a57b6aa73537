"""Real servers, started once; a database and topics of its own for each test that asks."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from tests.processes import Workers
from worker.devstack import NoServer, Servers, servers
from worker.kafka.topics import create_missing
from worker.postgres.migrate import migrate
from worker.settings import Settings

PARTITIONS = 4


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", metavar="DIRECTORY", help="where tests/web/pages leaves pictures of the pages")


@pytest.fixture(scope="session")
def running() -> Iterator[Servers]:
    """The servers of the environment (`make test` starts them once for all processes), or new ones."""
    try:
        with servers() as found:
            yield found
    except NoServer as reason:
        if os.environ.get("REQUIRE_SERVERS"):
            raise
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def kafka_bootstrap_servers(running: Servers) -> str:
    return running.kafka_bootstrap_servers


@pytest.fixture(scope="session")
def admin_url(running: Servers) -> str:
    return running.database_url


def url_of(admin_url: str, database: str) -> str:
    return f"{admin_url.rsplit('/', 1)[0]}/{database}"


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def template(admin_url: str) -> AsyncIterator[str]:
    """A migrated database that each test's own is cloned from."""
    name = f"template_{uuid4().hex}"
    await execute(admin_url, f"create database {name}")
    await migrate(Settings(database_url=url_of(admin_url, name)))
    yield name
    await execute(admin_url, f"drop database {name}")


@asynccontextmanager
async def new_database(admin_url: str, template: str) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    await execute(admin_url, f"create database {name} template {template}")
    yield url_of(admin_url, name)
    await execute(admin_url, f"drop database {name} with (force)")


@pytest.fixture
async def database_url(admin_url: str, template: str) -> AsyncIterator[str]:
    async with new_database(admin_url, template) as url:
        yield url


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connected = await asyncpg.connect(database_url, server_settings={"timezone": "UTC"})
    yield connected
    await connected.close()


@pytest.fixture
def database_settings(database_url: str) -> Settings:
    """For what needs no Kafka."""
    return Settings(database_url=database_url, kafka_bootstrap_servers="127.0.0.1:1")


@pytest.fixture
async def settings(database_url: str, kafka_bootstrap_servers: str) -> Settings:
    """A database, topics and a consumer group that no other test touches."""
    return await new_settings(database_url, kafka_bootstrap_servers)


async def new_settings(database_url: str, kafka_bootstrap_servers: str) -> Settings:
    mark = uuid4().hex[:12]
    settings = Settings(
        database_url=database_url,
        kafka_bootstrap_servers=kafka_bootstrap_servers,
        consumer_group=f"group-{mark}",
        lesson_events_topic=f"lesson-events-{mark}",
        course_events_topic=f"course-events-{mark}",
        dead_letter_topic=f"lesson-events-{mark}.dlq",
        topic_partitions=PARTITIONS,
        http_port=0,
        session_timeout_s=6,
    )
    await create_missing(settings)
    return settings


@pytest.fixture
def workers(settings: Settings) -> Iterator[Workers]:
    """Starts worker processes; what still runs at the end of the test is killed."""
    with Workers(settings) as started:
        yield started
