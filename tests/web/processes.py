"""API processes under test, as an operator would start them, and who signs their tokens."""

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI

from tests.processes import WorkerProcess, eventually
from worker.settings import Settings
from worker.web.settings import ApiSettings

ISSUER, AUDIENCE = "https://login.example", "progress"
GENEROUS = "100000/second"

Lesson = Callable[..., dict[str, Any]]  # a body of `complete`, from a lesson's id and what else is to be changed


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
