"""The card on Operations counts completions without a certificate by reason, and names certificates without one."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from worker.certificates.reconcile import Missing, Unfounded
from worker.certificates.watch import MOST_FOUND, Compared
from worker.web.pages.reconciliation import SHOWN, build_reconciliation_card

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def missing(reason: str, hours: int = 1) -> Missing:
    return Missing(uuid4(), uuid4(), 1, 1, NOW - timedelta(hours=hours), reason)


def test_nothing_missing_is_said_in_a_sentence() -> None:
    card = build_reconciliation_card(Compared(NOW), NOW)

    assert card.summary.startswith("Every completion older than ten minutes has")
    assert (card.reasons, card.unfounded) == ([], [])


def test_completions_are_counted_by_reason_with_the_oldest() -> None:
    found = Compared(NOW, [missing("no name"), missing("no key", 2), missing("no name", 3)])
    card = build_reconciliation_card(found, NOW)

    assert card.summary == "3 completions older than ten minutes without a certificate."
    assert [(line.reason, line.number, line.oldest) for line in card.reasons] == [
        ("no name", "2 completions", "3 hours ago"),
        ("no key", "1 completion", "2 hours ago"),
    ]


def test_more_than_are_counted_are_not_told_as_that_number() -> None:
    assert "or more" in build_reconciliation_card(Compared(NOW, [missing("no key")] * MOST_FOUND), NOW).summary


def test_certificates_without_a_completion_are_named_up_to_a_number() -> None:
    unfounded = [Unfounded(f"code{n}", uuid4(), uuid4(), 1, 1) for n in range(SHOWN + 2)]
    card = build_reconciliation_card(Compared(NOW, unfounded=unfounded), NOW)

    assert [line.code for line in card.unfounded] == [f"code{n}" for n in range(SHOWN)]
    assert (card.more, card.summary) == ("and 2 more certificates", f"{SHOWN + 2} certificates without a completion.")


def test_a_problem_is_said_instead() -> None:
    assert "PostgreSQL is away" in build_reconciliation_card(Compared(NOW, problem="PostgreSQL is away"), NOW).summary
