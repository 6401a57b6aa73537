"""A card of "My learning" shows the best certificate of its course, or that one is being made."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from worker.certificates.certificate import Certificate
from worker.certificates.reads import IssuedCertificate
from worker.web.pages.certificates import add_certificates, choose_best, describe
from worker.web.pages.learning import CourseCard

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
COURSE = uuid4()
CARD = CourseCard(COURSE, "Statistics", 100, 1, 1, 1, True, True, "", NOON, (), 0, 0, None, 0)


def issued(version: int, **changed: object) -> IssuedCertificate:
    frozen = Certificate(f"code{version}", uuid4(), COURSE, version, 1, "Ada", "S", date(2026, 11, 22), NOON, NOON)
    found = IssuedCertificate(frozen, "valid", NOON, None, False, True, "{}", False)
    return replace(found, **changed)  # type: ignore[arg-type]


def add(found: list[IssuedCertificate], card: CourseCard = CARD, *, owed: bool = True, after: int = 1) -> CourseCard:
    def is_owed(_: UUID) -> bool:
        return owed

    [added] = add_certificates(
        [card], found, "https://learn.example/{}".format, is_owed, NOON + timedelta(minutes=after)
    )
    return added


def test_a_valid_certificate_is_shown_before_one_of_a_later_version_that_is_not() -> None:
    assert choose_best([issued(3, status="revoked"), issued(1), issued(2)])[COURSE].certificate.course_version == 2


def test_a_card_shows_the_certificate_and_its_link() -> None:
    card = add([issued(1)]).certificate

    assert card is not None
    assert (card.code, card.link, card.is_valid, card.listed) == ("code1", "https://learn.example/code1", True, True)


@pytest.mark.parametrize(
    ("card", "owed", "after", "awaited"),
    [
        (CARD, True, 1, True),
        (CARD, False, 1, False),
        (CARD, True, 11, False),
        (replace(CARD, is_complete=False), True, 1, False),
    ],
)
def test_a_certificate_is_awaited_for_some_minutes_where_one_is_owed(
    card: CourseCard, owed: bool, after: int, awaited: bool
) -> None:
    assert add([], card, owed=owed, after=after).awaits_certificate is awaited


def test_the_version_is_named_only_when_there_is_a_later_one() -> None:
    assert describe(issued(2)) == "Completed on 22 November 2026"
    assert describe(issued(2, extended=True)) == "Completed on 22 November 2026 · version 2 of the course"
    assert describe(issued(2, status="withdrawn")) == "Withdrawn on 22 November 2026"
