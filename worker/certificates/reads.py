"""Reads certificates for whoever holds, shows or verifies them."""

import re
from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from importlib.util import find_spec
from typing import Any, Literal, Self
from uuid import UUID

import asyncpg

from worker.certificates.certificate import Certificate
from worker.certificates.settings import CertificateSettings
from worker.postgres.connection import query, with_time_limit
from worker.postgres.pool import connect_pool

LONGEST_S = 3.0
MOST_CERTIFICATES = 1000  # in one answer
CODE = re.compile(r"[a-z2-7]{26}")
LAST_LIST = 2**31 - 1
EXTRA = ("typst", "segno", "openbadgeslib")
Status = Literal["valid", "revoked", "withdrawn"]


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """Holds a certificate, and what has become of it since its issue."""

    certificate: Certificate
    status: Status
    status_at: datetime
    reason: str | None
    revoked_by_hand: bool
    listed: bool
    credential: str  # signed JSON
    extended: bool  # a later version of the course exists

    @property
    def is_valid(self) -> bool:
        return self.status == "valid"


def is_code(text: str) -> bool:
    """Returns whether a certificate may have this code. No other text needs a look into the database."""
    return CODE.fullmatch(text) is not None


def is_extra_installed() -> bool:
    """Returns whether the packages of the extra `certificates` are there."""
    return all(find_spec(name) is not None for name in EXTRA)


class Certificates:
    """Reads certificates, status lists and public keys, and lets learners hide theirs. An async context manager.

    Every operation raises DatabaseUnavailable.
    """

    def __init__(self, settings: CertificateSettings) -> None:
        self._settings = with_time_limit(settings, LONGEST_S)

    async def __aenter__(self) -> Self:
        self.pool = await connect_pool(self._settings, max_size=5)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.pool.close()

    async def find(self, code: str) -> IssuedCertificate | None:
        """Reads the certificate with this code. One round trip, whether or not there is one."""
        rows = await self.pool.fetch(query("certificates/find"), code) if is_code(code) else []
        return _build_certificate(rows[0]) if rows else None

    async def read_of_learner(
        self, user_id: UUID, courses: Collection[UUID] | None = None
    ) -> tuple[datetime, list[IssuedCertificate]]:
        """Reads the learner's certificates, in these courses or in all, the latest issued first.

        Returns them with a time by the database's clock: everything committed before it is in them. A learner with more
        than MOST_CERTIFICATES has the older ones left out.
        """
        wanted = None if courses is None else list(courses)
        rows = await self.pool.fetch(query("certificates/of_learner"), user_id, wanted, MOST_CERTIFICATES)
        return rows[0]["as_of"], [_build_certificate(row) for row in rows if row["code"] is not None]

    async def set_listed(self, code: str, user_id: UUID, listed: bool) -> datetime | None:
        """Lets the public page of the learner's certificate tell what it says, or not; durable on return.

        Returns the time by the database's clock, or None where the learner has no such certificate.
        """
        rows = await self.pool.fetch(query("certificates/set_listed"), code, user_id, listed) if is_code(code) else []
        return rows[0]["as_of"] if rows else None

    async def read_status_list(self, number: int) -> str | None:
        """Reads a status list as it was last signed. None where there is none yet."""
        if not 0 <= number <= LAST_LIST:
            return None
        rows = await self.pool.fetch("select credential::text from status_list where list = $1", number)
        return rows[0]["credential"] if rows else None

    async def read_keys(self) -> dict[str, str]:
        """Reads the public keys that credentials were signed with, multibase, by their ids; the newest first."""
        rows = await self.pool.fetch("select key_id, public_key from signing_key order by first_used_at desc, key_id")
        return {row["key_id"]: row["public_key"] for row in rows}


def _build_certificate(row: asyncpg.Record) -> IssuedCertificate:
    frozen = Certificate(**_take(row, Certificate))
    return IssuedCertificate(frozen, **_take(row, IssuedCertificate))


def _take(row: asyncpg.Record, kind: type[Any]) -> dict[str, Any]:
    return {field.name: row[field.name] for field in fields(kind) if field.name in row.keys()}  # noqa: SIM118
