"""Generates known events without end: many learners', with duplicates, late ones, resets and bad ones. Seeded."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from events.envelope import binary
from events.models import CourseAccessed, LessonCompleted, LessonEvent, LessonUncompleted, ProgressReset
from events.producer import OutgoingRecord, Producer, PublishFailed
from tests.catalogs import Published

START = datetime(2026, 1, 1, tzinfo=UTC)
TOTALS = (1, 2, 3, 5, 12)
LEARNERS = 150  # at work at the same time
STAMPED = 1_767_000_000_000  # the timestamp of odd records, which a dead letter must keep
Origin: TypeAlias = tuple[str, int, int]  # topic, partition, offset
Happened: TypeAlias = tuple[LessonEvent, datetime]


@dataclass(frozen=True, slots=True)
class Sent:
    """Holds one record, and the event that it must count as; None: it must become a dead letter."""

    record: OutgoingRecord
    happened: Happened | None
    skipped: bool = False  # neither: a worker skips it


def some_total(course: UUID) -> int:
    return TOTALS[course.int % len(TOTALS)]


def lessons_of(course: UUID) -> list[str]:
    return [f"lesson-{number}" for number in range(some_total(course))]


class Learners:
    """Generates learners' events without end, the same for the same seed. No clock, no I/O."""

    def __init__(self, topic: str, seed: int, odd_share: float = 0.02) -> None:
        self.rng = random.Random(seed)
        self.topic = topic
        self.odd_share = odd_share
        self.courses = [self.uuid() for _ in range(30)]
        self._present = [self.uuid() for _ in range(LEARNERS)]
        self.now = START  # of the learners: events are dated by it, or up to a hundred hours before
        self._repeatable: list[Sent] = []

    def __iter__(self) -> Iterator[Sent]:
        while True:
            sent = self._next()
            self._repeatable.append(sent)
            if len(self._repeatable) > 500:
                self._repeatable.pop(self.rng.randrange(500))
            yield sent

    def _next(self) -> Sent:
        chance = self.rng.random()
        if chance < self.odd_share:
            return self._odd()
        if chance < 0.15 and self._repeatable:
            return self.rng.choice(self._repeatable)
        self.now += timedelta(seconds=self.rng.uniform(0, 20))
        late = timedelta(hours=self.rng.uniform(0, 100)) if self.rng.random() < 0.1 else timedelta()
        return self.build_sent(self._event(), self.now - late)

    def _event(self) -> LessonEvent:
        slot = self.rng.randrange(LEARNERS)
        user = self._present[slot]
        if self.rng.random() < 0.03:
            self._present[slot] = self.uuid()
        course = self.courses[(user.int + self.rng.randrange(2)) % len(self.courses)]
        lesson = self.rng.choice(lessons_of(course))
        kinds = [LessonCompleted, LessonUncompleted, CourseAccessed, ProgressReset]
        kind = self.rng.choices(kinds, [70, 8, 20, 2])[0]
        if kind is CourseAccessed:
            return CourseAccessed(user_id=user, course_id=course, lesson_id=lesson)
        if kind is ProgressReset:
            return ProgressReset(user_id=user, course_id=course)
        lesson_kind = LessonCompleted if kind is LessonCompleted else LessonUncompleted
        return lesson_kind(user_id=user, course_id=course, lesson_id=lesson, total_lessons=some_total(course))

    def build_sent(self, event: LessonEvent, at: datetime, stamped: datetime | None = None) -> Sent:
        headers, value = binary(event, id=str(self.uuid()), time=at, source="faults")
        stamp = round(stamped.timestamp() * 1000) if stamped else None
        return Sent(OutgoingRecord(self.topic, str(event.user_id).encode(), value, headers, stamp), (event, at))

    def _odd(self) -> Sent:
        value = self.rng.choice([*BAD, *SKIPPED])
        record = OutgoingRecord(self.topic, self.rng.randbytes(4), value, [("trace", b"\xff")], STAMPED)
        return Sent(record, None, skipped=value in SKIPPED)

    def uuid(self) -> UUID:
        return UUID(int=self.rng.getrandbits(128), version=4)


def place(source: Iterator[Sent], choose: Callable[[Sent], int | None]) -> Iterator[Sent]:
    """Puts each record into the partition that `choose` returns; None: its key decides."""
    for sent in source:
        yield replace(sent, record=replace(sent.record, partition=choose(sent)))


def spoilt(**changed: object) -> bytes:
    """Returns a good bare event, except for these values."""
    ids = {"user_id": str(UUID(int=1)), "course_id": str(UUID(int=2))}
    good = {"id": "1", "type": "LessonCompleted", "time": "2026-01-01T00:00:00Z", "lesson_id": "a", "total_lessons": 3}
    return json.dumps({**good, **ids, **changed}).encode()


# One value for each kind of bad input that becomes a dead letter.
BAD: list[bytes] = [
    b'{"n": 1}',
    b"",
    b"null",
    b"{",
    b"\xff\xfe\x00",
    b"[" * 5000,
    spoilt(user_id="nobody"),
    spoilt(course_id=7),
    spoilt(lesson_id=""),
    spoilt(lesson_id="a\x00b"),
    spoilt(lesson_id="x" * 256),
    spoilt(total_lessons=0),
    spoilt(total_lessons=10_001),
    spoilt(time="yesterday"),
    spoilt(time="1999-12-31T23:59:59Z"),
    spoilt(dataschema="urn:course-progress:LessonCompleted:2.0"),
    spoilt(specversion="2.0"),
]
# Values that a worker skips: a newer type, and none.
SKIPPED = [spoilt(type="LessonRated"), None]


@dataclass
class Load:
    """Publishes at a steady rate until `stopping` is set, and remembers what Kafka acknowledged."""

    servers: str
    source: Iterator[Sent]
    rate_s: float = 500
    chunk: int = 25
    good: list[tuple[Origin, Happened]] = field(default_factory=list)
    bad: list[tuple[Origin, OutgoingRecord]] = field(default_factory=list)
    skipped: int = 0
    versions: list[Published] = field(default_factory=list)  # of courses, in the order in which Kafka stored them
    recreated: bool = False  # the new topic has other records at the same offsets
    commits_lost: bool = False  # course events were published whose transitions are lost
    of_two_releases: bool = False  # some is the work of the one before: other ids, another lesson to resume at
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def acknowledged(self) -> int:
        return len(self.good) + len(self.bad) + self.skipped

    async def run(self, at_most: int | None = None) -> None:
        async with Producer(self.servers, timeout_s=10) as producer:
            while not self.stopping.is_set() and (at_most is None or self.acknowledged < at_most):
                started = asyncio.get_running_loop().time()
                await self.send(producer, [next(self.source) for _ in range(self.chunk)])
                pause_s = started + self.chunk / self.rate_s - asyncio.get_running_loop().time()
                await asyncio.sleep(max(0, pause_s))

    async def send(self, producer: Producer, chunk: list[Sent]) -> None:
        """Repeats until Kafka has acknowledged all. A record stored without an acknowledgement may be there twice."""
        while True:
            try:
                stored = await producer.send_all([sent.record for sent in chunk])
            except PublishFailed:
                await asyncio.sleep(0.2)
                continue
            for sent, where in zip(chunk, stored, strict=True):
                self._remember(sent, (where.topic, where.partition, where.offset))
            return

    def _remember(self, sent: Sent, origin: Origin) -> None:
        if sent.skipped:
            self.skipped += 1
        elif sent.happened is None:
            self.bad.append((origin, sent.record))
        else:
            self.good.append((origin, sent.happened))
