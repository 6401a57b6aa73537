"""Calls the API in this process: issues tokens, builds settings that trust them, opens a client."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI

from worker.settings import Settings
from worker.web.settings import ApiSettings

ISSUER, AUDIENCE = "https://login.example", "progress"
GENEROUS = "100000/second"
PUBLIC_URL = "https://learn.example"
Lesson = Callable[..., dict[str, Any]]  # builds a body of `complete` from a lesson's id and changed fields


class Issuer:
    """Signs tokens with any claims, as the website's issuer would."""

    def __init__(self, directory: Path) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.key_file = directory / "issuer.pem"
        self.key_file.write_bytes(self.public)

    def token(self, user: UUID | str, scope: str = "", *, alg: str = "RS256", key: Any = None, **claims: Any) -> str:
        usual = {"sub": str(user), "iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600, "scope": scope}
        signed = {name: value for name, value in (usual | claims).items() if value is not None}
        return jwt.encode(signed, self.key if key is None else key, alg, headers={"kid": "1"})


def authorized(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def api_settings(settings: Settings, issuer: Issuer, **changed: Any) -> ApiSettings:
    """Builds the settings of an API with the same servers as a worker's settings."""
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
            "rate_limit_public": GENEROUS,
            "public_url": PUBLIC_URL,
            "apply_deadline_s": 30,
            "api_unknown_courses": "trust",  # else the version of one test would refuse the courses of all others
        }
        | changed
    )


@asynccontextmanager
async def client_of(app: FastAPI, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    headers = authorized(token) if token else {}
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
        yield client
