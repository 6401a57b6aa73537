"""Provides a PostgreSQL that asks for passwords, set up as docs/security-postgresql.md says."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.databases import execute, new_settings
from tests.security.secured import ESCAPED, Secured, ask_for_passwords, create_roles
from worker.devstack import postgres_wheel, start_server
from worker.postgres.migrate import migrate
from worker.settings import Settings


@pytest.fixture(scope="package")
async def secured() -> AsyncIterator[Secured]:
    """Yields the server. A role that may not create roles has migrated its database `course_progress`."""
    with ExitStack() as running:
        url = start_server(postgres_wheel.run_database, running, print)
        await ask_for_passwords(url)
        server = Secured(urlsplit(url).port or 0)
        await create_roles(server)
        await migrate(server.settings("progress_migrator"))
        yield server


@pytest.fixture
async def database(secured: Secured) -> AsyncIterator[str]:
    """Yields the name of a database for one test, and drops it at the end."""
    name = f"test_{uuid4().hex}"
    await execute(secured.admin_url, f"create database {name} template course_progress owner course_progress_owner")
    yield name
    await execute(secured.admin_url, f"drop database {name} with (force)")


@pytest.fixture
async def settings(secured: Secured, database: str, kafka_bootstrap_servers: str) -> Settings:
    """Builds the settings of a production worker with a login of its own."""
    made = await new_settings(secured.url(f"progress_worker:{ESCAPED}", database), kafka_bootstrap_servers)
    return made.model_copy(update={"environment": "production"})
