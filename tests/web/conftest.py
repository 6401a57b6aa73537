"""Provides an issuer of tokens, and the API, in this process and in its own, over one worker."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from tests.callers import Issuer, Lesson, api_settings, client_of
from tests.databases import new_database, new_settings
from tests.processes import ApiProcess, Workers, running
from worker.learners.service import ProgressService
from worker.settings import Settings
from worker.web.app import create_api
from worker.web.keys import PemKeys
from worker.web.readers import Readers
from worker.web.settings import ApiSettings

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts these tests into one process, which ends what they share after the last one: other tests count processes
    and tasks."""
    for item in items:
        if HERE in item.path.parents and HERE / "pages" not in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("api"))


@pytest.fixture(scope="package")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="package")
async def shared(
    admin_url: str, template: str, kafka_bootstrap_servers: str, issuer: Issuer
) -> AsyncIterator[ApiSettings]:
    """Runs a worker with these settings, for all tests of the API."""
    async with new_database(admin_url, template) as url:
        settings = await new_settings(url, kafka_bootstrap_servers)
        with Workers(settings) as workers:
            workers.start()
            yield api_settings(settings, issuer)


@pytest.fixture(scope="package")
async def service(shared: ApiSettings) -> AsyncIterator[ProgressService]:
    patient = shared.model_copy(update={"apply_deadline_s": 60.0})  # a disk may stand still for as long in CI
    async with ProgressService(patient) as service:
        yield service


@pytest.fixture(scope="package")
async def readers(shared: ApiSettings) -> AsyncIterator[Readers]:
    async with Readers(shared) as readers:
        yield readers


@pytest.fixture
async def rows(shared: ApiSettings) -> AsyncIterator[asyncpg.Connection]:
    """Connects to the API's database, for rows that no worker has to write."""
    connection = await asyncpg.connect(shared.database_url.get_secret_value())
    yield connection
    await connection.close()


@pytest.fixture
def app(shared: ApiSettings, issuer: Issuer, service: ProgressService, readers: Readers) -> FastAPI:
    return create_api(shared, PemKeys(issuer.key_file), service, readers=readers, cookie="session")


@pytest.fixture
def user() -> UUID:
    return uuid4()


@pytest.fixture
def course() -> UUID:
    return uuid4()


@pytest.fixture
async def client(app: FastAPI, issuer: Issuer, user: UUID) -> AsyncIterator[httpx.AsyncClient]:
    """Calls with the user's token."""
    async with client_of(app, issuer.token(user)) as client:
        yield client


@pytest.fixture(scope="package")
async def two(shared: ApiSettings) -> AsyncIterator[list[ApiProcess]]:
    """Runs two API processes."""
    async with running(shared) as one, running(shared) as other:
        yield [one, other]


@pytest.fixture
def lesson(course: UUID) -> Lesson:
    """Builds a body that completes a lesson of a course of four."""

    def body(lesson_id: str = "a", **changed: Any) -> dict[str, Any]:
        return {"courseId": str(course), "lessonId": lesson_id, "totalLessons": 4, **changed}

    return body


@pytest.fixture
async def nowhere(issuer: Issuer) -> AsyncIterator[FastAPI]:
    """Builds the API over servers that are away, for answers that need neither."""
    settings = api_settings(
        Settings(database_url="postgresql://postgres@127.0.0.1:1/none", kafka_bootstrap_servers="127.0.0.1:1"), issuer
    )
    async with ProgressService(settings, publish_timeout_s=1) as service, Readers(settings) as readers:
        yield create_api(settings, PemKeys(issuer.key_file), service, readers=readers, cookie="session")
