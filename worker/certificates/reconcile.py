"""Compares certificates with completions: which are missing, and why, and which no completion stands behind.

It alone looks into the tables of progress: all else knows of completions what course events say.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from worker.certificates.administration import Reader
from worker.certificates.plan import CERTIFICATE, Fact, key_of, merge_facts
from worker.certificates.settings import CertificateSettings
from worker.postgres.connection import query
from worker.postgres.effect_rows import EffectRow, plan_effects

OLDER_THAN_S = 600  # a younger completion may still be on its way
FIX_AT_ONCE = 1000
CHUNK = 20_000
NOT_SEEN = "course event not seen: does `course-progress effects` run, and is the outbox empty?"
NOT_PLANNED = "nothing is planned: run `course-progress certificates reconcile --fix`"
NOT_PERFORMED = "planned, and not done yet: does `course-progress effects` run?"


@dataclass(frozen=True, slots=True)
class Missing:
    """Describes a completion that is owed a valid certificate and has none."""

    user_id: UUID
    course_id: UUID
    course_version: int
    completion_number: int
    completed_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Unfounded:
    """Describes a valid certificate whose completion was never announced."""

    code: str
    user_id: UUID
    course_id: UUID
    course_version: int
    completion_number: int


async def find_missing(reader: Reader, settings: CertificateSettings, limit: int) -> list[Missing]:
    """Finds completions older than ten minutes without the certificate that they are owed, at most `limit`.

    Each by its completion number, and so by the version that its course event names. It reads every completed progress
    row, where few are missing.
    """
    return await _find_between(reader, settings, None, None, limit)


async def find_all_missing(
    connection: asyncpg.Connection, settings: CertificateSettings
) -> AsyncGenerator[list[Missing], None]:
    """Finds the same in the whole table, CHUNK progress rows at a time, so that no statement takes long."""
    after = 0
    while (last := await connection.fetchval(query("certificates/progress_chunk"), after, CHUNK)) is not None:
        yield await _find_between(connection, settings, after, last, CHUNK)
        after = last


async def _find_between(
    reader: Reader, settings: CertificateSettings, after: int | None, last: int | None, limit: int
) -> list[Missing]:
    without_catalog = settings.certificates_without_catalog
    rows = await reader.fetch(query("certificates/missing"), without_catalog, OLDER_THAN_S, limit, after, last)
    return [
        Missing(
            row["user_id"],
            row["course_id"],
            row["course_version"],
            row["completion_number"],
            row["completed_at"],
            _explain(row),
        )
        for row in rows
    ]


def _explain(row: asyncpg.Record) -> str:
    if row["planned"]:
        return row["reason"] or NOT_PERFORMED
    if not row["seen"]:
        return NOT_SEEN
    if row["status"]:
        return f"{row['status']}: course events have taken this completion back"
    return NOT_PLANNED


async def find_unfounded(reader: Reader, limit: int) -> list[Unfounded]:
    """Finds valid certificates whose completion no worker has announced, at most `limit`."""
    return [Unfounded(*row) for row in await reader.fetch(query("certificates/unfounded"), limit)]


async def find_age_of_lists(reader: Reader) -> float:
    """Returns the seconds since the status list that was signed longest ago was signed; 0 where there is none."""
    [row] = await reader.fetch("select extract(epoch from now() - min(signed_at))::float as age_s from status_list")
    return row["age_s"] or 0.0


async def fix(connection: asyncpg.Connection, settings: CertificateSettings, missing: Sequence[Missing]) -> int:
    """Plans the certificates that are missing, and returns for how many learners and courses; durable on return.

    What effects have not seen of these completions it takes from what the workers have written.
    """
    planned = 0
    cases = sorted({(one.user_id, one.course_id) for one in missing})
    for start in range(0, len(cases), FIX_AT_ONCE):
        part = cases[start : start + FIX_AT_ONCE]
        async with connection.transaction():
            rows = await connection.fetch(query("certificates/facts"), *map(list, zip(*part, strict=True)))
            await merge_facts(connection, [Fact(*row) for row in rows])
            planned += await plan_effects(
                connection,
                CERTIFICATE,
                [EffectRow(key_of(*case), case[0], settings.course_events_topic, 0) for case in part],
            )
    return planned
