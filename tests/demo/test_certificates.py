from datetime import UTC, datetime
from uuid import uuid4

import pytest

from events import (
    CertificateIssued,
    CertificateRevoked,
    CourseCompleted,
    CourseCompletionRevoked,
    CourseEvent,
    Received,
)
from worker.demo import certificates
from worker.demo.certificates import Certificates
from worker.settings import Settings

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
IDS = {"user_id": uuid4(), "course_id": uuid4(), "completion_number": 1}
COMPLETED = CourseCompleted(**IDS, completed_at=NOW, lessons_completed=1, total_lessons=1, started_at=NOW)
REVOKED = CourseCompletionRevoked(**IDS, revoked_at=NOW, lessons_completed=0, total_lessons=1)


def received(event_id: str, event: CourseEvent = COMPLETED, offset: int = 0) -> Received:
    return Received(event_id, type(event).__name__, NOW, event, partition=3, offset=offset)


def test_a_repeated_event_counts_once() -> None:
    subscriber = Certificates(Settings(), remember=True)
    for offset, event_id in enumerate(["a", "b", "a"]):
        subscriber.receive(received(event_id, offset=offset))
    subscriber.receive(received("c", REVOKED, offset=3))

    assert (subscriber.issued, subscriber.revoked, subscriber.certified) == (2, 1, 0)
    assert subscriber.received.keys() == {"a", "b", "c"}
    assert subscriber.positions == {3: 4}


def test_a_certificate_counts_once_however_often_it_is_issued_anew() -> None:
    subscriber = Certificates(Settings(), remember=True)
    code = {"code": "k5xw63tfon2ca5dimuqgy2lomu", "course_version": 1}
    for event_id, issue in [("a", 1), ("a", 1), ("b", 2)]:
        subscriber.receive(received(event_id, CertificateIssued(**IDS, **code, issue=issue, issued_at=NOW)))
    subscriber.receive(received("c", CertificateRevoked(**IDS, **code, issue=2, revoked_at=NOW, status="revoked")))

    assert (subscriber.issued, subscriber.revoked, subscriber.certified) == (0, 0, 1)


def test_an_endless_demo_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "ENDLESS_MEMORY", 2)
    subscriber = Certificates(Settings(), remember=False)
    for event_id in "abc":
        subscriber.receive(received(event_id))

    assert subscriber.received.keys() == {"b", "c"}
    assert subscriber.issued == 3
