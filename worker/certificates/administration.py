"""Shows certificates to an administrator, who may revoke one or have it issued anew.

What is wished is written beside the certificate, and `course-progress effects` does it: so nobody else needs its key.
"""

from uuid import UUID

import asyncpg

from worker.certificates.rules import Status, Wish
from worker.certificates.settings import CertificateSettings
from worker.errors import UnknownCertificate
from worker.postgres.connection import query
from worker.postgres.pool import Pool

# A connection raises the driver's errors, a pool what translate_errors makes of them.
Reader = asyncpg.Connection | Pool


async def list_certificates(
    reader: Reader,
    *,
    user_id: UUID | None = None,
    course_id: UUID | None = None,
    status: Status | None = None,
    limit: int,
) -> list[asyncpg.Record]:
    """Reads certificates, the latest issued first and at most `limit`: of a learner, in a course, of a status, or all.

    Columns: code, user_id, course_id, course_version, completion_number, title, completed_on, issued_at, issue,
    status, status_at, reason, wish. The learner's name is not among them.
    """
    rows: list[asyncpg.Record] = await reader.fetch(
        query("certificates/list_certificates"), user_id, course_id, status, limit
    )
    return rows


async def show_certificate(reader: Reader, code: str) -> asyncpg.Record:
    """Reads all of a certificate but its credential, and why it waits, if it does. Raises UnknownCertificate."""
    return _require(await reader.fetch(query("certificates/show_certificate"), code), code)


async def revoke(reader: Reader, settings: CertificateSettings, code: str, reason: str) -> None:
    """Has a certificate revoked at once, whatever completions come, until it is issued anew. Durable on return.

    Everybody who verifies it reads the reason, which has 1 to 500 characters. Raises UnknownCertificate.
    """
    await _wish(reader, settings, code, "revoke", reason)


async def reissue(reader: Reader, settings: CertificateSettings, code: str) -> None:
    """Has a certificate issued anew, with the name and title of today; valid, also if it was revoked by hand.

    Durable on return. While no completion stands, it stays revoked, and is issued when one does. Raises
    UnknownCertificate.
    """
    await _wish(reader, settings, code, "reissue", None)


async def _wish(reader: Reader, settings: CertificateSettings, code: str, wish: Wish, reason: str | None) -> None:
    # No record is its cause: whichever worker finds its event in the outbox publishes it.
    source = (settings.course_events_topic, 0)
    _require(await reader.fetch(query("certificates/wish"), code, wish, reason, *source), code)


def _require(rows: list[asyncpg.Record], code: str) -> asyncpg.Record:
    if not rows:
        raise UnknownCertificate(f"no certificate has the code {code}")
    return rows[0]
