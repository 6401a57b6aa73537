"""Decides by rules 21 and 22 which certificates a learner is owed in a course. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from events.models import LEARNER

Status = Literal["valid", "revoked", "withdrawn"]
Wish = Literal["revoke", "reissue"]
BY_HAND = "by-hand"  # the cause of a CertificateRevoked, where somebody revoked it
WAIVED = "waived"
# Another cause counts as the learner's (events/models.py).
CAUSES = {LEARNER, "course-changed", "reset", WAIVED, "imported", "repaired", "recovered"}


@dataclass(frozen=True, slots=True)
class Announced:
    """Holds what course events have said of one completion. What has not come is None."""

    number: int
    version: int | None = None
    title: str | None = None
    completed_at: datetime | None = None
    revoked_at: datetime | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """Holds the completion that a certificate is made from."""

    number: int
    title: str | None
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """Says which completions of a learner in a course stand: those with a number up to `standing`."""

    completions: dict[int, Completion]  # of each version the one with the lowest number
    standing: int
    cause: str  # of the revocation that took back the others, at last
    changes_at: datetime | None  # when fewer stand, unless another completion comes; None: never

    def stands(self, version: int) -> bool:
        """Says whether a completion of this version stands."""
        return version in self.completions and self.completions[version].number <= self.standing


@dataclass(frozen=True, slots=True)
class Held:
    """Holds what a certificate is now, and what somebody wishes of it."""

    completion: Completion
    status: Status
    reason: str | None = None
    by_hand: bool = False
    wish: Wish | None = None
    wish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """Says that a certificate is to be issued, or once more, from this completion."""

    completion: Completion
    anew: bool  # with the name and the title of today; otherwise with those that it has


@dataclass(frozen=True, slots=True)
class Revoke:
    """Says that a certificate is to be no longer valid, or not valid for another reason."""

    status: Status
    reason: str | None
    by_hand: bool
    cause: str


def judge(announced: Iterable[Announced], revoked_by: Collection[str], grace_s: float, now: datetime) -> Verdict:
    """Judges what course events have said of one learner in one course, in whatever order it came (rule 22).

    `revoked_by` has the causes that revoke, `grace_s` seconds after a completion was taken back.
    """
    completions: dict[int, Completion] = {}
    standing, cause, changes_at = 0, None, None
    taken_back: Announced | None = None
    for told in sorted(announced, key=lambda told: told.number, reverse=True):
        if told.revoked_at is not None:
            taken_back = told  # of the revocations with this number or a higher one, the lowest
        if told.completed_at is None or told.version is None:
            continue
        completions[told.version] = Completion(told.number, told.title, told.completed_at)
        if standing:
            continue  # a higher one stands, and this one with it
        over_at = _find_end(taken_back, revoked_by, grace_s)
        if over_at is None or over_at > now:
            standing, changes_at = told.number, over_at
        elif taken_back is not None:
            cause = cause or taken_back.cause
    return Verdict(completions, standing, cause or LEARNER, changes_at)


def _find_end(taken_back: Announced | None, revoked_by: Collection[str], grace_s: float) -> datetime | None:
    """Returns when a completion that was taken back so stands no more. None: it stands for ever."""
    if taken_back is None or taken_back.revoked_at is None:
        return None
    cause = taken_back.cause or LEARNER
    if cause not in revoked_by and (cause in CAUSES or LEARNER not in revoked_by):
        return None
    try:
        return taken_back.revoked_at + timedelta(seconds=grace_s)
    except OverflowError:
        return None


def decide(verdict: Verdict, version: int, held: Held | None, *, may_issue: bool) -> Issue | Revoke | None:
    """Decides what is to be done with the certificate of this version, which is `held` or not there yet.

    None: it is what it should be. `may_issue` says whether this version has new certificates.
    """
    completion = verdict.completions.get(version)
    if held is None:
        return Issue(completion, anew=True) if completion and may_issue and verdict.stands(version) else None
    if held.wish == "revoke":
        return Revoke("revoked", held.wish_reason, True, BY_HAND)
    if held.by_hand and held.wish != "reissue":
        return None
    if completion is not None and not verdict.stands(version):
        status: Status = "withdrawn" if verdict.cause == WAIVED else "revoked"
        wanted = Revoke(status, verdict.cause, False, verdict.cause)
        return wanted if (wanted.status, wanted.reason, False) != (held.status, held.reason, held.by_hand) else None
    if held.wish == "reissue":
        return Issue(completion or held.completion, anew=True)
    if completion is None:  # no event has told of it, and none has taken it back
        return None
    made_from = (held.completion.number, held.completion.completed_at)
    if held.status != "valid" or made_from != (completion.number, completion.completed_at):
        return Issue(completion, anew=False)
    return None
