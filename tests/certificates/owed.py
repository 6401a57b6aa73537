"""Says which certificates are owed by what course events announced: rules 21 and 22, told once more for tests."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

from events.models import CourseCompleted, CourseCompletionRevoked, CourseEvent

CertificateKey: TypeAlias = tuple[UUID, UUID, int]  # learner, course, version
REVOKES = frozenset({"learner", "imported", "waived", "recovered"})


class Owed(NamedTuple):
    """Says what a certificate must say, once its grace is over."""

    completed_at: datetime  # of the lowest completion under this version
    status: str


def find_owed(events: Iterable[CourseEvent], *, without_catalog: bool = False) -> dict[CertificateKey, Owed]:
    """Returns the certificate that each learner is owed under each version of each course.

    One that all which has come revokes may also be missing: it need not have been valid at any moment.
    """
    told: dict[tuple[UUID, UUID], list[CourseEvent]] = defaultdict(list)
    for event in events:
        if isinstance(event, CourseCompleted | CourseCompletionRevoked):
            told[event.user_id, event.course_id].append(event)
    return {
        (*key, version): owed
        for key, history in told.items()
        for version, owed in _find_owed_of_one(history).items()
        if version or without_catalog
    }


def _find_owed_of_one(history: list[CourseEvent]) -> dict[int, Owed]:
    completed: dict[int, CourseCompleted] = {}
    revoked: dict[int, CourseCompletionRevoked] = {}
    for event in history:
        number = event.completion_number
        if isinstance(event, CourseCompleted):
            completed[number] = min(completed.get(number, event), event, key=lambda e: e.completed_at)
        else:
            revoked[number] = min(revoked.get(number, event), event, key=lambda e: e.revoked_at)
    highest, why = 0, "learner"
    for number in sorted(completed):
        after = [n for n in revoked if n >= number]
        ended = revoked[min(after)].cause if after else None
        if ended not in REVOKES:
            highest = number
        else:
            why = ended
    owed: dict[int, Owed] = {}
    for number, event in sorted(completed.items()):
        status = "valid" if number <= highest else "withdrawn" if why == "waived" else "revoked"
        owed.setdefault(event.course_version, Owed(event.completed_at, status))
    return owed
