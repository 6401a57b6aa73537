"""Defines a certificate as it is frozen at its issue. Pure."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Certificate:
    """Holds what a certificate says (rule 21). Nothing of it changes but by a reissue, which raises `issue`."""

    code: str
    user_id: UUID
    course_id: UUID
    course_version: int
    completion_number: int
    name: str
    title: str
    completed_on: date  # in the learner's time zone
    completed_at: datetime
    issued_at: datetime
    issue: int = 1


def build_link(public_url: str, code: str) -> str:
    """Builds the public link of a certificate, where anybody can verify it."""
    return f"{public_url.rstrip('/')}/verify/{code}"


def build_credential_link(public_url: str, code: str) -> str:
    """Builds the link of a certificate's credential, which is the credential's id as well."""
    return f"{build_link(public_url, code)}/credential"


def build_list_link(public_url: str, number: int) -> str:
    """Builds the link of a status list, which is its id as well."""
    return f"{public_url.rstrip('/')}/credentials/status/{number}"
