"""Serves learners their own certificates; worker/web/public.py serves strangers."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field, StrictBool

from worker.certificates.reads import IssuedCertificate
from worker.web.api.bodies import ClosedModel
from worker.web.api.body_guard import guarded_route
from worker.web.api.dependencies import LearnerDep
from worker.web.api.responses import answer_unchanged, conditional_response, json_response
from worker.web.api.schemas import AS_OF, COURSE, Answer, CamelModel, with_examples
from worker.web.auth import CallerDep
from worker.web.certificates import CertificateService
from worker.web.limits import count_call
from worker.web.problems import Problem
from worker.web.readers import CertificatesDep

CREDENTIAL = "application/vc+ld+json"  # a verifier that looks for JSON in the type finds it
PDF = "application/pdf"
CODE = "b4zqk7n2m6wz3v5xk2c7d5rqfy"
CERTIFICATE = {
    "code": CODE,
    "courseId": COURSE,
    "courseVersion": 2,
    "completionNumber": 1,
    "name": "Ada Lovelace",
    "title": "Statistics",
    "completedOn": "2026-11-22",
    "issuedAt": "2026-11-22T23:10:01Z",
    "issue": 1,
    "status": "valid",
    "statusAt": "2026-11-22T23:10:01Z",
    "reason": None,
    "extended": False,
    "listed": True,
    "link": f"https://learn.example/verify/{CODE}",
}

reads = APIRouter(prefix="/api/certificates", tags=["certificates"], dependencies=[Depends(count_call)])
writes = APIRouter(prefix="/api/certificates", tags=["certificates"], route_class=guarded_route("writes"))
CodePath = Annotated[str, Path(description="26 letters and digits")]


class CertificateView(CamelModel):
    """Shows a certificate: what it says was frozen at its issue, and `status` is what has become of it."""

    model_config = with_examples(CERTIFICATE)

    code: str
    course_id: UUID
    course_version: int = Field(description="0: the course had none")
    completion_number: int
    name: str
    title: str
    completed_on: date = Field(description="In the learner's time zone")
    issued_at: datetime
    issue: int = Field(description="Grows when the certificate is issued again, with the same code")
    status: Literal["valid", "revoked", "withdrawn"]
    status_at: datetime
    reason: str | None = Field(description="Why it is not valid")
    extended: bool = Field(description="Whether a later version of the course exists")
    listed: bool = Field(description="False: the public page tells no more than its status")
    link: str = Field(description="Its public page, where anybody can verify it")


class CertificatesAnswer(Answer):
    """Answers with the learner's certificates, the latest issued first."""

    model_config = with_examples({"asOf": AS_OF, "items": [CERTIFICATE]})

    items: list[CertificateView]


class ListedBody(ClosedModel):
    """Says whether the certificate's public page shows what it says, or only its status."""

    model_config = with_examples({"listed": False})

    listed: StrictBool


class ListedAnswer(Answer):
    """Says what the public page shows from now on."""

    model_config = with_examples({"asOf": AS_OF, "code": CODE, "listed": False})

    code: str
    listed: bool


def build_view(service: CertificateService, found: IssuedCertificate) -> CertificateView:
    certificate = found.certificate
    names = CertificateView.model_fields.keys()
    values = {name: getattr(source, name) for source in (certificate, found) for name in names if hasattr(source, name)}
    return CertificateView(**values, link=service.build_link(certificate.code))


async def own_certificate(service: CertificatesDep, user: LearnerDep, code: CodePath) -> IssuedCertificate:
    """Provides the learner's own certificate. Raises a problem, 404, for any other code."""
    found = await service.reads.find(code)
    if found is None or found.certificate.user_id != user:
        raise build_no_certificate_problem()
    return found


OwnDep = Annotated[IssuedCertificate, Depends(own_certificate)]


def build_no_certificate_problem() -> Problem:
    return Problem(404, "the learner has no certificate with this code")


@reads.get("", response_model=CertificatesAnswer)
async def list_certificates(request: Request, user: LearnerDep, service: CertificatesDep) -> Response:
    """Lists the learner's certificates, also those that are not valid any more, the latest issued first."""
    as_of, found = await service.reads.read_of_learner(user)
    return conditional_response(
        request, CertificatesAnswer(as_of=as_of, items=[build_view(service, each) for each in found])
    )


@reads.get("/{code}.pdf", response_class=Response, responses={200: {"content": {PDF: {}}}})
async def get_pdf(request: Request, service: CertificatesDep, found: OwnDep) -> Response:
    """Returns the learner's certificate as a PDF, with its credential attached; 404 where it is not valid."""
    return await answer_pdf(request, service, found)


@reads.get("/{code}/credential", response_class=Response, responses={200: {"content": {CREDENTIAL: {}}}})
async def get_credential(request: Request, found: OwnDep) -> Response:
    """Returns the learner's certificate as a signed Open Badges 3.0 credential."""
    return answer_credential(request, found)


@writes.patch("/{code}", response_model=ListedAnswer)
async def list_or_unlist(body: ListedBody, caller: CallerDep, service: CertificatesDep, code: CodePath) -> Response:
    """Lets the public page show what the certificate says, or only that it exists and whether it is valid."""
    as_of = await service.reads.set_listed(code, caller.user_id, body.listed)
    if as_of is None:
        raise build_no_certificate_problem()
    return json_response(ListedAnswer(as_of=as_of, code=code, listed=body.listed))


async def answer_pdf(request: Request, service: CertificateService, found: IssuedCertificate) -> Response:
    """Renders the PDF, unless the client has it already. Raises a problem, 404, for one that is not valid: nobody could
    see that in the PDF."""
    if not found.is_valid:
        raise Problem(404, "the certificate is not valid any more, so it has no PDF")
    name = f"certificate-{found.certificate.code[:8]}.pdf"
    headers = {
        "ETag": await service.tag_pdf(found),
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'inline; filename="{name}"',
    }
    return answer_unchanged(request, headers) or Response(await service.render(found), 200, headers, PDF)


def answer_credential(request: Request, found: IssuedCertificate, **headers: str) -> Response:
    """Returns the signed credential, unless the client has it already."""
    tag = f'"{found.certificate.code[:8]}-{found.certificate.issue}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"} | headers
    return answer_unchanged(request, headers) or Response(found.credential, 200, headers, CREDENTIAL)
