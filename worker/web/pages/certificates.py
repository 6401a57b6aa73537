"""Adds a learner's certificates to the cards of "My learning". Pure."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from uuid import UUID

from worker.certificates.reads import IssuedCertificate
from worker.web.pages.learning import CertificateCard, CourseCard

AWAITED_FOR = timedelta(minutes=10)  # after that it waits for a reason that only an operator can remove
WORDS = {"revoked": "Revoked", "withdrawn": "Withdrawn"}


def add_certificates(
    cards: Iterable[CourseCard],
    found: Iterable[IssuedCertificate],
    build_link: Callable[[str], str],
    owed: Callable[[UUID], bool],
    now: datetime,
) -> tuple[CourseCard, ...]:
    """Adds the best certificate of each course, or that one is awaited where completing the course is `owed` one."""
    best = choose_best(found)
    return tuple(
        replace(card, certificate=build_card(best[card.id], build_link))
        if card.id in best
        else replace(card, awaits_certificate=card.is_complete and now - card.active_at < AWAITED_FOR and owed(card.id))
        for card in cards
    )


def choose_best(found: Iterable[IssuedCertificate]) -> dict[UUID, IssuedCertificate]:
    """Chooses one of each course: a valid one before any other, and then that of the latest version."""
    ordered = sorted(found, key=lambda each: (each.is_valid, each.certificate.course_version))
    return {each.certificate.course_id: each for each in ordered}


def build_card(found: IssuedCertificate, build_link: Callable[[str], str]) -> CertificateCard:
    code = found.certificate.code
    return CertificateCard(code, build_link(code), found.is_valid, found.listed, describe(found))


def describe(found: IssuedCertificate) -> str:
    """Says of when it is, or since when it is not valid, and of which version if there is a later one."""
    version = f" · version {found.certificate.course_version} of the course" if found.extended else ""
    if not found.is_valid:
        return f"{WORDS[found.status]} on {format_date(found.status_at.date())}{version}"
    return f"{format_date(found.certificate.completed_on)}{version}"


def format_date(day: date) -> str:
    """Writes `22 November 2026`."""
    return f"{day:%-d %B %Y}"
