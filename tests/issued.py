"""Inserts certificates as `course-progress effects` issues them, and renders none."""

import json
import secrets
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from worker.certificates.certificate import Certificate

ISSUED = datetime(2026, 11, 22, 23, 10, 1, tzinfo=UTC)
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def new_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(26))


async def issue(connection: asyncpg.Connection, user: UUID, course: UUID | None = None, **changed: Any) -> str:
    """Inserts a certificate, and returns its code."""
    row = {
        "code": new_code(),
        "user_id": user,
        "course_id": course or uuid4(),
        "course_version": 1,
        "completion_number": 1,
        "name": "Ada Lovelace",
        "title": "Statistics",
        "completed_on": date(2026, 11, 23),
        "completed_at": ISSUED,
        "issued_at": ISSUED,
        "status": "valid",
        "status_at": ISSUED,
        "reason": None,
        "revoked_by_hand": False,
        "listed": True,
        "issue": 1,
        "rendered_with": "{}",
        "credential": json.dumps({"type": ["VerifiableCredential"]}),
    } | changed
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(f"insert into certificate ({', '.join(row)}) values ({places})", *row.values())
    return str(row["code"])


class CountingRenderer:
    """Renders nothing but the name, and counts how often."""

    def __init__(self) -> None:
        self.versions = {"template": "1"}
        self.rendered = 0

    async def render(self, certificate: Certificate, credential: dict[str, Any] | None) -> bytes:
        self.rendered += 1
        return f"%PDF {certificate.name} {json.dumps(credential)}".encode()
