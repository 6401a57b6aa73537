"""Builds the card of "Operations" that compares certificates with completions. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from worker.certificates.watch import MOST_FOUND, Compared
from worker.web.pages.formatting import format_ago, plural, shorten

SHOWN = 10


@dataclass(frozen=True, slots=True)
class ReasonLine:
    """Shows how many completions wait for their certificates for one reason."""

    reason: str
    number: str
    oldest: str


@dataclass(frozen=True, slots=True)
class UnfoundedLine:
    """Shows a certificate without a completion."""

    code: str
    course: str
    course_id: UUID


@dataclass(frozen=True, slots=True)
class ReconciliationCard:
    """Holds what the card shows."""

    summary: str
    reasons: Sequence[ReasonLine] = ()
    unfounded: Sequence[UnfoundedLine] = ()
    more: str = ""


def build_reconciliation_card(found: Compared, now: datetime) -> ReconciliationCard:
    """Builds the card: completions by reason, the most frequent first, and the first certificates without one."""
    if found.problem is not None:
        return ReconciliationCard(f"Not known right now: {found.problem}.")
    numbers = Counter(one.reason for one in found.missing)
    oldest: dict[str, datetime] = {}
    for one in found.missing:
        oldest[one.reason] = min(one.completed_at, oldest.get(one.reason, one.completed_at))
    reasons = [
        ReasonLine(reason, format_found(number), format_ago(oldest[reason], now))
        for reason, number in numbers.most_common()
    ]
    unfounded = [UnfoundedLine(one.code, shorten(one.course_id), one.course_id) for one in found.unfounded[:SHOWN]]
    more = len(found.unfounded) - len(unfounded)
    return ReconciliationCard(
        summarise(found), reasons, unfounded, f"and {plural(more, 'more certificate')}" if more else ""
    )


def summarise(found: Compared) -> str:
    if not found.missing and not found.unfounded:
        return "Every completion older than ten minutes has the certificate that it is owed."
    missing = f"{format_found(len(found.missing))} older than ten minutes without a certificate"
    unfounded = f"{plural(len(found.unfounded), 'certificate')} without a completion"
    return "; ".join([missing] * bool(found.missing) + [unfounded] * bool(found.unfounded)) + "."


def format_found(number: int) -> str:
    """Writes how many completions, of which no more than MOST_FOUND are counted."""
    return f"{MOST_FOUND:,} completions or more" if number >= MOST_FOUND else plural(number, "completion")
