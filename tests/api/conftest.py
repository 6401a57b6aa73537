"""An issuer of tokens; the API in this process, and as processes of its own, over one worker."""

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI

from tests.conftest import new_database, new_settings
from tests.workers import WorkerProcess, Workers, eventually
from worker.api.app import create_api
from worker.api.auth import PemKeys
from worker.service import ProgressService
from worker.settings import ApiSettings, Settings

ISSUER, AUDIENCE = "https://login.example", "progress"
GENEROUS = "100000/second"


class Issuer:
    """Signs what it is told to sign."""

    def __init__(self, directory: Path) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.key_file = directory / "issuer.pem"
        self.key_file.write_bytes(self.public)

    def token(self, user: UUID | str, scope: str = "", *, alg: str = "RS256", key: Any = None, **claims: Any) -> str:
        told = {"sub": str(user), "iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600, "scope": scope}
        said = {name: value for name, value in (told | claims).items() if value is not None}
        return jwt.encode(said, self.key if key is None else key, alg, headers={"kid": "1"})


def authorized(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


def api_settings(settings: Settings, issuer: Issuer, **changed: Any) -> ApiSettings:
    """Those of an API beside these of a worker."""
    return ApiSettings(
        **settings.model_dump()
        | {
            "api_port": 0,
            "jwt_issuer": ISSUER,
            "jwt_audience": AUDIENCE,
            "jwt_key_file": issuer.key_file,
            "rate_limit_reads": GENEROUS,
            "rate_limit_writes": GENEROUS,
            "rate_limit_batches": GENEROUS,
            "apply_deadline_s": 30,
        }
        | changed
    )


@asynccontextmanager
async def client_of(app: FastAPI, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    headers = authorized(token) if token else {}
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
        yield client


@pytest.fixture(scope="session")
async def shared(
    admin_url: str, template: str, kafka_bootstrap_servers: str, issuer: Issuer
) -> AsyncIterator[ApiSettings]:
    """Over these a worker runs, for all tests of the API."""
    async with new_database(admin_url, template) as url:
        settings = await new_settings(url, kafka_bootstrap_servers)
        with Workers(settings) as workers:
            workers.start()
            yield api_settings(settings, issuer)


@pytest.fixture(scope="session")
async def service(shared: ApiSettings) -> AsyncIterator[ProgressService]:
    async with ProgressService(shared) as service:
        yield service


@pytest.fixture
def app(shared: ApiSettings, issuer: Issuer, service: ProgressService) -> FastAPI:
    return create_api(shared, PemKeys(issuer.key_file), service, cookie="session")


@pytest.fixture
def user() -> UUID:
    return uuid4()


@pytest.fixture
def course() -> UUID:
    return uuid4()


@pytest.fixture
async def client(app: FastAPI, issuer: Issuer, user: UUID) -> AsyncIterator[httpx.AsyncClient]:
    """The user's."""
    async with client_of(app, issuer.token(user)) as client:
        yield client


@dataclass
class ApiProcess:
    process: WorkerProcess
    address: str

    def client(self, token: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.address, headers=authorized(token), timeout=30)


@asynccontextmanager
async def running(settings: ApiSettings) -> AsyncIterator[ApiProcess]:
    """`course-progress api`."""
    with WorkerProcess(settings, module=("worker.cli", "api")) as process:

        async def listens() -> bool:
            assert process.process.poll() is None, process.log
            return '"listening"' in process.log

        await eventually(listens)
        [address] = re.findall(r"http://127.0.0.1:\d+", process.log)
        try:
            yield ApiProcess(process, address)
        finally:
            print(process.log)


@pytest.fixture(scope="session")
async def two(shared: ApiSettings) -> AsyncIterator[list[ApiProcess]]:
    """Two API processes."""
    async with running(shared) as one, running(shared) as other:
        yield [one, other]


@pytest.fixture
def lesson(course: UUID) -> Callable[..., dict[str, Any]]:
    """The body that completes a lesson of a course of four."""

    def body(lesson_id: str = "a", **changed: Any) -> dict[str, Any]:
        return {"courseId": str(course), "lessonId": lesson_id, "totalLessons": 4, **changed}

    return body


@pytest.fixture
async def nowhere(issuer: Issuer) -> AsyncIterator[FastAPI]:
    """The API over servers that are away, for what is decided before they are asked."""
    settings = api_settings(
        Settings(database_url="postgresql://postgres@127.0.0.1:1/none", kafka_bootstrap_servers="127.0.0.1:1"), issuer
    )
    async with ProgressService(settings, publish_timeout_s=1) as service:
        yield create_api(settings, PemKeys(issuer.key_file), service, cookie="session")
