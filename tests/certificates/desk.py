"""Issues certificates in tests, on a real database and with the rights of effects, but with no key and no template."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from events.learners import LearnerDescribed
from events.models import CourseCompleted, CourseCompletionRevoked, CourseEvent
from worker.certificates.certificate import Certificate
from worker.certificates.issue import Issuer, Tools
from worker.certificates.people import describe_learners
from worker.certificates.plan import CERTIFICATE, plan_certificates
from worker.certificates.settings import CertificateSettings
from worker.effects.performer import Performer
from worker.stream.effect import Later, Planned
from worker.stream.outcome import Occurrence

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER, COURSE = UUID(int=1), UUID(int=2)
TABLES = ("announced_completion", "certificate", "learner", "effect", "outbox")


def completed(
    number: int, version: int = 1, *, at: datetime | None = None, title: str | None = "Knots", cause: str = "learner"
) -> CourseCompleted:
    when = at or NOON + timedelta(hours=number)
    return CourseCompleted(
        **about(number), completed_at=when, started_at=when, course_version=version, title=title, cause=cause
    )


def taken_back(number: int, cause: str = "learner", *, at: datetime | None = None) -> CourseCompletionRevoked:
    when = at or NOON + timedelta(hours=number, minutes=30)
    return CourseCompletionRevoked(**about(number), revoked_at=when, cause=cause)


def about(number: int) -> dict[str, Any]:
    return {
        "user_id": USER,
        "course_id": COURSE,
        "completion_number": number,
        "lessons_completed": 1,
        "total_lessons": 1,
    }


@dataclass
class Desk:
    """Plans and performs certificates as `course-progress effects` does, over one connection."""

    connection: asyncpg.Connection
    settings: CertificateSettings
    problem: Exception | None = None  # which the next renderings raise
    rendered: list[Certificate] = field(default_factory=list)
    places: dict[str, list[int]] = field(default_factory=dict)  # of the credentials of a code, and
    bits: dict[str, list[int]] = field(default_factory=dict)  # those of them that are revoked
    versions: dict[str, str] = field(default_factory=lambda: {"template": "t1"})

    @property
    def issuer(self) -> Issuer:
        return Issuer(self.settings, Tools(self, self, self.publish_keys, self.take_place, self.set_bits))

    async def empty(self) -> None:
        emptied = "; ".join(f"delete from {table}" for table in TABLES)  # which takes less time than truncate
        await self.connection.execute(f"reset role; {emptied}; set role course_progress_effects")
        self.rendered.clear()
        self.places.clear()
        self.bits.clear()

    async def tell(self, *events: CourseEvent) -> int:
        """Plans what follows from a batch of course events."""
        occurrences = [Occurrence(NOON, event, "course-events", 3) for event in events]
        async with self.connection.transaction():
            return await plan_certificates(self.connection, occurrences)

    async def describe(self, *, user: UUID = USER, at: datetime = NOON, **learner: Any) -> int:
        event = LearnerDescribed(user_id=user, **learner)
        return await describe_learners(self.connection, [Occurrence(at, event, "learners", 0)])

    async def perform(self) -> None:
        """Performs whatever is due."""
        performer = Performer(self.settings, {CERTIFICATE: self.issuer.perform}, at_once=1)
        while await performer.perform_next(self.connection):
            pass

    async def perform_once(self) -> Later | None:
        """Performs the effect of USER and COURSE, planned or not, and returns what the issuer says."""
        async with self.connection.transaction():
            return await self.issuer.perform(self.connection, Planned(f"{USER}/{COURSE}", "course-events", 3, 0))

    async def issue(self, *events: CourseEvent, **learner: Any) -> asyncpg.Record:
        """Tells of the events, describes the learner, performs, and returns the only certificate."""
        await self.describe(**{"name": "Ada Lovelace"} | learner)
        await self.tell(*(events or [completed(1)]))
        await self.perform()
        return await self.only()

    async def certificates(self) -> list[asyncpg.Record]:
        return await self.connection.fetch("select * from certificate order by user_id, course_id, course_version")

    async def only(self) -> asyncpg.Record:
        [row] = await self.certificates()
        return row

    async def take_announced(self) -> list[asyncpg.Record]:
        """Takes what waits in the outbox, as a worker does."""
        await self.connection.execute("reset role")
        rows = await self.connection.fetch("select * from outbox order by seq")
        await self.connection.execute("delete from outbox; set role course_progress_effects")
        return rows

    async def waiting(self) -> list[str | None]:
        """Reads the reasons of the effects that are planned."""
        return [row["reason"] for row in await self.connection.fetch("select reason from effect order by key")]

    async def render(self, certificate: Certificate, credential: dict[str, Any] | None) -> bytes:
        if self.problem is not None:
            raise self.problem
        self.rendered.append(certificate)
        return b""

    def load(self) -> None:
        pass

    def sign_certificate(self, certificate: Certificate, place: int, email: str | None) -> dict[str, Any]:
        return {"place": place, "name": certificate.name, "email": email}

    async def publish_keys(self, connection: asyncpg.Connection, signer: object) -> None:
        assert signer is self

    async def take_place(self, connection: asyncpg.Connection, code: str) -> int:
        place = sum(map(len, self.places.values()))
        self.places.setdefault(code, []).append(place)
        return place

    async def set_bits(self, connection: asyncpg.Connection, code: str) -> None:
        self.bits[code] = list(self.places.get(code, []))
