"""Starts real servers once, and gives each test that asks a database and topics of its own."""

import os
from collections.abc import AsyncIterator, Generator, Iterator
from uuid import uuid4

import asyncpg
import pytest
import structlog

from tests.databases import execute, new_database, new_settings, url_of
from tests.processes import WorkerProcess, Workers
from worker.devstack import NoServer, Servers, servers
from worker.postgres.migrate import migrate
from worker.settings import Settings

# Tests, and the processes that they start, announce milestones: what else is announced is tested beside them.
os.environ.setdefault("PROGRESS_MILESTONES", "true")

LINES = 15  # of a log, in the report of a failure
# Fixtures that start servers or a browser.
STARTED = {"running", "broker", "secured", "chromium"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", metavar="DIRECTORY", help="where tests/web/pages leaves pictures of the pages")
    parser.addoption(
        "--unit", action="store_true", help="only tests without servers and without processes of their own"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "processes: starts processes by itself; --unit leaves it out")
    # A traceback with the variables of each frame, structlog's default, takes ten seconds where one of them is an app.
    *before, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*before, plain])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --unit, deselects what takes a server by a fixture, and what is marked `processes`."""
    if config.getoption("unit"):
        left_out = [item for item in items if needs_more_than_this_process(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to the report of a failure what the processes that run then have said last."""
    report = yield
    if report.failed:
        for process in WorkerProcess.running:
            report.sections.append((f"log of {process.process.args}", "\n".join(process.log.splitlines()[-LINES:])))
    return report


def needs_more_than_this_process(item: pytest.Item) -> bool:
    fixtures: list[str] = getattr(item, "fixturenames", [])
    return item.get_closest_marker("processes") is not None or not STARTED.isdisjoint(fixtures)


@pytest.fixture(scope="session", autouse=True)
def _starts_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """With --unit, fails a test that starts a process and is not marked `processes`."""
    with pytest.MonkeyPatch.context() as patch:
        if request.config.getoption("unit"):
            patch.setattr("subprocess.Popen.__init__", refuse_process)
        yield


def refuse_process(*_: object, **__: object) -> None:
    pytest.fail("a test that starts a process is marked with @pytest.mark.processes")


@pytest.fixture(scope="session")
def running() -> Iterator[Servers]:
    """Yields the servers of the environment (`make test` starts them once for all processes), or new ones."""
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


@pytest.fixture(scope="session")
async def template(admin_url: str) -> AsyncIterator[str]:
    """Yields the name of a migrated database that each test's own is cloned from."""
    name = f"template_{uuid4().hex}"
    await execute(admin_url, f"create database {name}")
    await migrate(Settings(database_url=url_of(admin_url, name)))
    yield name
    await execute(admin_url, f"drop database {name}")


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
    """Returns settings for what needs no Kafka."""
    return Settings(database_url=database_url, kafka_bootstrap_servers="127.0.0.1:1")


@pytest.fixture
async def settings(database_url: str, kafka_bootstrap_servers: str) -> Settings:
    """Returns settings with a database, topics and a consumer group that no other test touches."""
    return await new_settings(database_url, kafka_bootstrap_servers)


@pytest.fixture
def workers(settings: Settings) -> Iterator[Workers]:
    """Starts worker processes; what still runs at the end of the test is killed."""
    with Workers(settings) as started:
        yield started
