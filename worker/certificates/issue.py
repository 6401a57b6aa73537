"""Issues and revokes certificates: makes those of a learner in a course what they should be (rules 21 and 22)."""

import asyncio
import base64
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import asyncpg
import structlog

from events.models import CertificateEvent, CertificateIssued, CertificateRevoked, uuid_v8
from worker.certificates.certificate import Certificate
from worker.certificates.holdings import Case, Holding, read_case
from worker.certificates.rules import Completion, Issue, Revoke, decide, judge
from worker.certificates.settings import CertificateSettings
from worker.errors import DatabaseUnavailable, SetupError
from worker.postgres.connection import query
from worker.postgres.effect_rows import announce
from worker.stream.effect import Later, Planned
from worker.zones import find_zone

log = structlog.get_logger("certificates")

LOOK_AGAIN = timedelta(days=1)


class Waits(SetupError):
    """A certificate waits for something that is to be known of the learner."""


class Learner(NamedTuple):
    """Holds how to address a learner. What is not known is None."""

    name: str | None = None
    email: str | None = None
    timezone: str | None = None


class Renders(Protocol):
    """Renders certificates, as worker/certificates/rendering.py does."""

    @property
    def versions(self) -> dict[str, str]: ...

    async def render(self, certificate: Certificate, credential: dict[str, Any] | None) -> bytes: ...


class Signs(Protocol):
    """Signs certificates, as worker/certificates/signing.py does."""

    def load(self) -> None: ...

    def sign_certificate(self, certificate: Certificate, place: Any, email: str | None) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """Holds what makes a certificate. Tests give others."""

    renderer: Renders
    signer: Signs
    publish_keys: Callable[[asyncpg.Connection, Any], Awaitable[None]]
    take_place: Callable[[asyncpg.Connection, str], Awaitable[Any]]
    set_bits: Callable[[asyncpg.Connection, str], Awaitable[None]]  # of all credentials of a code so far

    @classmethod
    def of(cls, settings: CertificateSettings) -> "Tools":
        """Returns our own. Raises SetupError where the extra `certificates` is not installed."""
        from worker.certificates.places import set_bits, take_place
        from worker.certificates.rendering import Renderer
        from worker.certificates.signing import Signer, publish_keys

        return cls(Renderer(settings), Signer(settings), publish_keys, take_place, set_bits)


class Issuer:
    """Performs effects of kind `certificate`. Two that perform the same one wait for each other at its row."""

    def __init__(self, settings: CertificateSettings, tools: Tools | None = None) -> None:
        self._settings = settings
        self._revoked_by = frozenset(cause.strip() for cause in settings.certificates_revoked_by.split(","))
        self._tools = tools

    async def perform(self, connection: asyncpg.Connection, planned: Planned) -> Later | None:
        """Issues, revokes or issues once more what is owed; durable, and announced, with the caller's commit.

        Later, where a certificate waits, with the reasons, or when a completion that was taken back will stand no
        more. What can be done is done also where another version of the course waits. Raises the driver's errors.
        """
        user_id, course_id = map(UUID, planned.key.split("/"))
        case = await read_case(connection, user_id, course_id)
        verdict = judge(case.announced, self._revoked_by, self._settings.certificate_grace_s, case.now)
        reasons: dict[str, bool] = {}  # whether only the learner is not described well
        for version in sorted(verdict.completions.keys() | case.holdings.keys()):
            holding = case.holdings.get(version)
            may_issue = version > 0 or self._settings.certificates_without_catalog
            step = decide(verdict, version, holding.held if holding else None, may_issue=may_issue)
            try:
                async with connection.transaction():  # a savepoint: what fails leaves nothing behind
                    if isinstance(step, Issue):
                        await self._issue(connection, planned, case, version, step)
                    elif isinstance(step, Revoke) and holding:
                        await self._revoke(connection, planned, holding, step, case.now)
            except SetupError as error:
                if not isinstance(error, Waits):
                    log.warning("a certificate waits", reason=str(error))
                reasons[str(error)] = isinstance(error, Waits)
        if reasons and all(reasons.values()):  # a description of the learner wakes it
            soonest = case.now + LOOK_AGAIN
            return Later("; ".join(reasons), min(soonest, verdict.changes_at or soonest))
        if reasons:
            return Later("; ".join(reasons))
        return Later(None, verdict.changes_at) if verdict.changes_at else None

    async def _issue(
        self, connection: asyncpg.Connection, planned: Planned, case: Case, version: int, step: Issue
    ) -> None:
        holding = case.holdings.get(version)
        learner = await _read_learner(connection, case.user_id)
        if holding is None:
            certificate = _begin(case, version, step.completion, learner)
        else:
            certificate = _continue(holding.certificate, case.now, step, learner)
        if holding and step.anew:
            certificate = replace(certificate, title=await _find_title(connection, certificate, step.completion))
        self._tools = tools = self._tools or Tools.of(self._settings)
        tools.signer.load()  # without a key nothing is rendered for nothing
        await tools.renderer.render(certificate, None)  # so that what cannot be rendered is not issued
        if holding:
            await tools.set_bits(connection, certificate.code)
        place = await tools.take_place(connection, certificate.code)
        credential = await asyncio.to_thread(tools.signer.sign_certificate, certificate, place, learner.email)
        await tools.publish_keys(connection, tools.signer)
        versions = await asyncio.to_thread(lambda: tools.renderer.versions)  # which looks at every font file
        await _store(connection, certificate, versions, credential)
        event = CertificateIssued(**_about(certificate), issued_at=certificate.issued_at)
        await _announce(connection, planned, event, certificate.issued_at)

    async def _revoke(
        self, connection: asyncpg.Connection, planned: Planned, holding: Holding, step: Revoke, now: datetime
    ) -> None:
        code = holding.certificate.code
        await connection.execute(query("certificates/revoke"), code, step.status, step.reason, step.by_hand, now)
        if holding.held.status != "valid":
            return
        self._tools = tools = self._tools or Tools.of(self._settings)
        await tools.set_bits(connection, code)
        event = CertificateRevoked(**_about(holding.certificate), revoked_at=now, status=step.status, cause=step.cause)
        await _announce(connection, planned, event, now)


def create_code() -> str:
    """Creates the code of a certificate: 128 random bits."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def require_zone(name: str | None) -> tzinfo:
    """Returns the learner's time zone; UTC where none is known. Raises Waits for one that nobody knows."""
    zone = UTC if name is None else find_zone(name)
    if zone is None:
        raise Waits(f"unknown time zone {name}: describe the learner with one of the IANA database")
    return zone


def _begin(case: Case, version: int, completion: Completion, learner: Learner) -> Certificate:
    """Makes the first certificate of a version. Raises Waits."""
    return Certificate(
        create_code(),
        case.user_id,
        case.course_id,
        version,
        completion.number,
        _require_name(learner),
        completion.title or str(case.course_id),
        _date(completion, learner),
        completion.completed_at,
        case.now,
    )


def _continue(certificate: Certificate, now: datetime, step: Issue, learner: Learner) -> Certificate:
    """Makes the next issue of a certificate: as it was, but for what the step says. Raises Waits."""
    completion = step.completion
    moved = step.anew or completion.completed_at != certificate.completed_at
    return replace(
        certificate,
        issued_at=now,
        issue=certificate.issue + 1,
        completion_number=completion.number,
        completed_at=completion.completed_at,
        completed_on=_date(completion, learner) if moved else certificate.completed_on,
        name=_require_name(learner) if step.anew else certificate.name,
    )


def _date(completion: Completion, learner: Learner) -> date:
    return completion.completed_at.astimezone(require_zone(learner.timezone)).date()


def _require_name(learner: Learner) -> str:
    if not learner.name:
        raise Waits("no name: describe the learner (`course-progress learners describe`)")
    return learner.name


async def _read_learner(connection: asyncpg.Connection, user_id: UUID) -> Learner:
    row = await connection.fetchrow("select name, email, timezone from learner where user_id = $1", user_id)
    return Learner(*row) if row else Learner()


async def _find_title(connection: asyncpg.Connection, certificate: Certificate, completion: Completion) -> str:
    """Returns the title that the course has for this version today, or the one that the certificate has."""
    title: str | None = await connection.fetchval(
        query("certificates/title"), certificate.course_id, certificate.course_version
    )
    return title or completion.title or certificate.title


async def _store(
    connection: asyncpg.Connection, certificate: Certificate, versions: dict[str, str], credential: dict[str, Any]
) -> None:
    frozen = [getattr(certificate, name) for name in Certificate.__dataclass_fields__]
    made = await connection.fetchval(query("certificates/store"), *frozen, json.dumps(versions), json.dumps(credential))
    if made is None:
        raise DatabaseUnavailable("another process has issued this certificate meanwhile")


def _about(certificate: Certificate) -> dict[str, Any]:
    return {name: getattr(certificate, name) for name in (*CertificateEvent.model_fields, "issue")}


async def _announce(
    connection: asyncpg.Connection, planned: Planned, event: CertificateIssued | CertificateRevoked, at: datetime
) -> None:
    await announce(connection, planned, uuid_v8(f"{type(event).__name__}/{event.code}/{event.issue}"), event, at)
