"""Builds the view of a certificate's public page, where anybody can verify it. Pure."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from worker.certificates.reads import IssuedCertificate

WORDS = {
    "valid": "This certificate is valid",
    "revoked": "This certificate has been revoked",
    "withdrawn": "This certificate has been withdrawn",
}
# Why a completion was taken back, by the cause that its event names.
CAUSES = {
    "learner": "The completion of a lesson was taken back, and the course was not completed again.",
    "imported": "An import of records took the completion of a lesson back.",
    "recovered": "A repair of the records showed that the course was not completed.",
    "waived": "A lesson had been waived for the holder, and the waiver was taken back.",
    "course-changed": "The course was changed, and is not completed as it is now.",
    "reset": "The holder started the course over.",
}


@dataclass(frozen=True, slots=True)
class VerifyPage:
    """Holds what the public page shows. Of one that is not listed only code, word, status and since when."""

    code: str
    link: str
    issuer: str
    status: str
    since: date
    listed: bool
    why: str = ""
    name: str = ""
    title: str = ""
    completed_on: date | None = None
    issued_on: date | None = None
    version: int = 0
    extended: bool = False

    @property
    def word(self) -> str:
        return WORDS[self.status]

    @property
    def path(self) -> str:
        """Returns the path of the page's own address, below which its files lie."""
        return urlsplit(self.link).path

    @property
    def level(self) -> str:
        """Returns the page's colour: well, watch or act."""
        return {"valid": "well", "withdrawn": "watch"}.get(self.status, "act")

    def to_json(self) -> dict[str, Any]:
        """Returns the same for programs."""
        shown: dict[str, Any] = {"code": self.code, "status": self.status, "since": str(self.since), "link": self.link}
        shown |= {"issuer": self.issuer}
        if not self.listed:
            return shown
        days = {"completedOn": str(self.completed_on), "issuedOn": str(self.issued_on)}
        course = {"title": self.title, "courseVersion": self.version, "extended": self.extended}
        return shown | {"why": self.why or None, "name": self.name} | days | course


def build_verify_page(found: IssuedCertificate, link: str, issuer: str) -> VerifyPage:
    """Builds the page. The code alone is no secret of a certificate that is not listed: who asks has it."""
    certificate = found.certificate
    page = VerifyPage(certificate.code, link, issuer, found.status, found.status_at.date(), found.listed)
    if not found.listed:
        return page
    return replace(
        page,
        why=explain(found),
        name=certificate.name,
        title=certificate.title,
        completed_on=certificate.completed_on,
        issued_on=certificate.issued_at.date(),
        version=certificate.course_version,
        extended=found.extended,
    )


def explain(found: IssuedCertificate) -> str:
    """Says in plain words why a certificate is not valid; empty for one that is."""
    if found.is_valid:
        return ""
    if found.revoked_by_hand:
        return f"The issuer revoked it: {found.reason}" if found.reason else "The issuer revoked it."
    return CAUSES.get(found.reason or "", "Its completion was taken back.")
