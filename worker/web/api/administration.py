"""Serves administrators: lists and shows certificates, revokes one or has it issued anew, finds what is missing."""

from datetime import UTC, date, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field

from events.models import Reason
from worker.certificates import administration as desk
from worker.certificates.reads import CODE
from worker.web.api.bodies import ClosedModel
from worker.web.api.body_guard import guarded_route
from worker.web.api.certificates import CERTIFICATE
from worker.web.api.responses import conditional_response, json_response
from worker.web.api.schemas import AS_OF, COURSE, USER, Answer, CamelModel, with_examples
from worker.web.auth import CallerDep, Scope
from worker.web.certificates import CertificateService
from worker.web.limits import count_call, count_write
from worker.web.problems import build_retry_problem
from worker.web.readers import CertificatesDep

LARGEST_PAGE = 1000
LISTED = CERTIFICATE | {"userId": USER, "wish": None}
LISTED = {name: value for name, value in LISTED.items() if name not in ("name", "link", "extended", "listed")}


async def require_administrator(caller: CallerDep) -> None:
    """Raises a problem, 403, unless the token has the scope `certificates`."""
    caller.require(Scope.CERTIFICATES)


PREFIX = "/api/ops/certificates"
AdministratorDep = Depends(require_administrator)
reads = APIRouter(prefix=PREFIX, tags=["ops"], dependencies=[AdministratorDep, Depends(count_call)])
bodies = APIRouter(prefix=PREFIX, tags=["ops"], route_class=guarded_route("writes", scope=Scope.CERTIFICATES))
writes = APIRouter(prefix=PREFIX, tags=["ops"], dependencies=[AdministratorDep, Depends(count_write)])


class ListedCertificate(CamelModel):
    """Shows a certificate in the list, without the learner's name."""

    model_config = with_examples(LISTED)

    code: str
    user_id: UUID
    course_id: UUID
    course_version: int
    completion_number: int
    title: str
    completed_on: date
    issued_at: datetime
    issue: int
    status: Literal["valid", "revoked", "withdrawn"]
    status_at: datetime
    reason: str | None
    wish: Literal["revoke", "reissue"] | None = Field(description="What an administrator wants, and is not done yet")


class ShownCertificate(ListedCertificate):
    """Shows a certificate with all that it says."""

    name: str
    completed_at: datetime
    revoked_by_hand: bool
    listed: bool
    wish_reason: str | None
    waits_for: str | None = Field(description="Why what is planned for it has failed so far")


class ListedAnswer(Answer):
    """Lists certificates, the latest issued first."""

    model_config = with_examples({"asOf": AS_OF, "items": [LISTED]})

    items: list[ListedCertificate]


class ShownAnswer(Answer):
    """Shows one certificate."""

    certificate: ShownCertificate


class RevokeBody(ClosedModel):
    """Says why a certificate is revoked. Everybody who verifies it reads that."""

    model_config = with_examples({"reason": "issued in error"})

    reason: Reason


class MissingCertificate(CamelModel):
    """Names a completion that is owed a certificate, and why it has none."""

    user_id: UUID
    course_id: UUID
    course_version: int
    completion_number: int
    completed_at: datetime
    reason: str


class UnfoundedCertificate(CamelModel):
    """Names a valid certificate whose completion was never announced."""

    code: str
    user_id: UUID
    course_id: UUID
    course_version: int
    completion_number: int


class ReconciliationAnswer(Answer):
    """Compares certificates with completions, some minutes ago, up to 1,000 of each."""

    model_config = with_examples(
        {
            "asOf": AS_OF,
            "missing": [
                {
                    "userId": USER,
                    "courseId": COURSE,
                    "courseVersion": 2,
                    "completionNumber": 1,
                    "completedAt": "2026-11-22T23:10:00Z",
                    "reason": "no name",
                }
            ],
            "unfounded": [],
        }
    )

    missing: list[MissingCertificate] = Field(description="Completions older than ten minutes without a certificate")
    unfounded: list[UnfoundedCertificate] = Field(description="Certificates without a completion")


CodePath = Annotated[str, Path(pattern=f"^{CODE.pattern}$", examples=[CERTIFICATE["code"]])]


@reads.get("", response_model=ListedAnswer)
async def list_certificates(
    request: Request,
    service: CertificatesDep,
    user_id: Annotated[UUID | None, Query(alias="userId")] = None,
    course_id: Annotated[UUID | None, Query(alias="courseId")] = None,
    status: Literal["valid", "revoked", "withdrawn"] | None = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 100,
) -> Response:
    """Lists certificates of a learner, in a course or of a status, or all, the latest issued first."""
    at = datetime.now(UTC)
    rows = await desk.list_certificates(
        service.reads.pool, user_id=user_id, course_id=course_id, status=status, limit=limit
    )
    return conditional_response(request, ListedAnswer.model_validate({"as_of": at, "items": list(map(dict, rows))}))


@reads.get("/reconciliation", response_model=ReconciliationAnswer)
async def reconcile(request: Request, service: CertificatesDep) -> Response:
    """Returns completions without a certificate, by reason, and certificates without a completion, some minutes old."""
    found = await service.reconciliation.read()
    if found.problem is not None:
        raise build_retry_problem(503, "certificates cannot be compared with completions right now", 60)
    parts = {"missing": found.missing, "unfounded": found.unfounded}
    return conditional_response(request, ReconciliationAnswer.model_validate({"as_of": found.at} | parts))


@reads.get("/{code}", response_model=ShownAnswer)
async def show(request: Request, service: CertificatesDep, code: CodePath) -> Response:
    """Shows a certificate, and why it waits if it does."""
    return conditional_response(request, await read_shown(service, code))


@bodies.post("/{code}/revoke", response_model=ShownAnswer, status_code=202)
async def revoke(body: RevokeBody, service: CertificatesDep, code: CodePath) -> Response:
    """Has a certificate revoked by `course-progress effects`, until it is issued anew, whatever completions come."""
    await desk.revoke(service.reads.pool, service.settings, code, body.reason)
    return json_response(await read_shown(service, code), 202)


@writes.post("/{code}/reissue", response_model=ShownAnswer, status_code=202)
async def reissue(service: CertificatesDep, code: CodePath) -> Response:
    """Has a certificate issued anew by `course-progress effects`, with today's name and title and the same code."""
    await desk.reissue(service.reads.pool, service.settings, code)
    return json_response(await read_shown(service, code), 202)


async def read_shown(service: CertificateService, code: str) -> ShownAnswer:
    at = datetime.now(UTC)
    row = await desk.show_certificate(service.reads.pool, code)
    return ShownAnswer.model_validate({"as_of": at, "certificate": dict(row)})
