"""Reads what the certificates of a learner in a course are made from: what was announced, and what is there."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

import asyncpg

from worker.certificates.certificate import Certificate
from worker.certificates.rules import Announced, Completion, Held
from worker.postgres.connection import query

ANNOUNCED = "select * from announced_completion where user_id = $1 and course_id = $2"


@dataclass(frozen=True, slots=True)
class Holding:
    """Holds a certificate as its row has it: what it says, and what has become of it."""

    certificate: Certificate
    held: Held

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Takes a row of `certificate`."""
        certificate = Certificate(**{name: row[name] for name in Certificate.__dataclass_fields__})
        completion = Completion(certificate.completion_number, None, certificate.completed_at)
        held = Held(completion, row["status"], row["reason"], row["revoked_by_hand"], row["wish"], row["wish_reason"])
        return cls(certificate, held)


@dataclass(frozen=True, slots=True)
class Case:
    """Holds all that decides about the certificates of one learner in one course."""

    user_id: UUID
    course_id: UUID
    now: datetime  # by the database's clock, as all times here
    announced: list[Announced]
    holdings: dict[int, Holding]  # by version


async def read_case(connection: asyncpg.Connection, user_id: UUID, course_id: UUID) -> Case:
    """Reads the case, in the caller's transaction. Raises the driver's errors."""
    now = await connection.fetchval("select now()")
    announced = [_build_announced(row) for row in await connection.fetch(ANNOUNCED, user_id, course_id)]
    rows = await connection.fetch(query("certificates/holdings"), user_id, course_id)
    return Case(user_id, course_id, now, announced, {row["course_version"]: Holding.of(row) for row in rows})


def _build_announced(row: asyncpg.Record) -> Announced:
    return Announced(
        row["completion_number"],
        row["course_version"],
        row["title"],
        row["completed_at"],
        row["revoked_at"],
        row["revoked_cause"],
    )
