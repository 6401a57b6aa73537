"""Makes certificates, keys and settings for tests of certificates."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from worker.certificates.certificate import Certificate
from worker.certificates.keys import create_key
from worker.certificates.settings import CertificateSettings

PUBLIC_URL = "https://learn.example"
CERTIFICATE = Certificate(
    code="abcdefghijklmnopqrstuvwxyz",
    user_id=UUID("0190a6e2-0000-7000-8000-000000000001"),
    course_id=UUID("0190a6e2-0000-7000-8000-00000000000a"),
    course_version=2,
    completion_number=1,
    name="Ada Lovelace",
    title="Notes on the engine",
    completed_on=date(2026, 3, 1),
    completed_at=datetime(2026, 2, 28, 23, 30, tzinfo=UTC),
    issued_at=datetime(2026, 3, 1, 9, 0, 0, 5, tzinfo=UTC),
)


def new_key(directory: Path, name: str = "key.pem") -> Path:
    """Creates a key file in this directory."""
    path = directory / name
    create_key(path)
    return path


def signing_settings(*keys: Path, **changed: Any) -> CertificateSettings:
    """Returns settings of a process that signs with these keys."""
    files = ",".join(map(str, keys))
    return CertificateSettings(**{"public_url": PUBLIC_URL, "certificate_key_files": files} | changed)


async def put_certificate(connection: asyncpg.Connection, code: str) -> None:
    """Inserts a certificate of a learner of its own."""
    await connection.execute(
        """
        insert into certificate (code, user_id, course_id, course_version, completion_number, name, title, completed_on,
                                 completed_at, issued_at, status, status_at, rendered_with, credential)
        values ($1, gen_random_uuid(), gen_random_uuid(), 1, 1, 'Ada', 'T', now(), now(), now(), 'valid', now(), '{}',
                '{}')
        """,
        code,
    )
