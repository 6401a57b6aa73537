"""A certificate's public page says what its row says, and of one that is not listed only whether it is valid."""

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import uuid4

import pytest

from worker.certificates.certificate import Certificate
from worker.certificates.reads import IssuedCertificate
from worker.web.pages.verify import CAUSES, build_verify_page, explain

LINK = "https://learn.example/certified/verify/abc"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CERTIFICATE = Certificate("abc", uuid4(), uuid4(), 2, 1, "Ada Lovelace", "Statistics", date(2026, 11, 22), NOON, NOON)
VALID = IssuedCertificate(CERTIFICATE, "valid", NOON, None, False, True, "{}", False)
REVOKED = replace(VALID, status="revoked", reason="learner", status_at=datetime(2026, 11, 30, tzinfo=UTC))


def test_the_page_of_a_valid_certificate_says_what_is_certified() -> None:
    page = build_verify_page(VALID, LINK, "A school")

    assert (page.name, page.title, page.completed_on, page.version) == (
        "Ada Lovelace",
        "Statistics",
        date(2026, 11, 22),
        2,
    )
    assert (page.level, page.why, page.path) == ("well", "", "/certified/verify/abc")


@pytest.mark.parametrize("found", [VALID, REVOKED, replace(REVOKED, revoked_by_hand=True, reason="Ada cheated")])
def test_of_a_certificate_that_is_not_listed_nothing_but_its_status_is_told(found: IssuedCertificate) -> None:
    told = build_verify_page(replace(found, listed=False), LINK, "A school")

    assert told.to_json() == {
        "code": "abc",
        "status": found.status,
        "since": str(found.status_at.date()),
        "link": LINK,
        "issuer": "A school",
    }
    assert "Ada" not in repr(told)
    assert "Statistics" not in repr(told)


@pytest.mark.parametrize("cause", CAUSES)
def test_a_revocation_is_explained_in_plain_words(cause: str) -> None:
    assert explain(replace(REVOKED, reason=cause)) == CAUSES[cause]


def test_a_revocation_by_hand_is_explained_by_what_was_written() -> None:
    by_hand = replace(REVOKED, revoked_by_hand=True, reason="issued in error")

    assert explain(by_hand) == "The issuer revoked it: issued in error"
    assert explain(replace(by_hand, reason=None)) == "The issuer revoked it."
