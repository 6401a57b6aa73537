"""ProgressService: the ten operations a website knows. Reads are PostgreSQL's; writes are events, applied by a worker.

There is one writer of progress, the worker. A marking operation publishes its event and waits until the worker has
applied it, so that a read afterwards sees it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

from pydantic import ValidationError

from events.models import EARLIEST, CourseAccessed, LessonCompleted, LessonEvent, LessonUncompleted, ProgressReset
from events.producer import PublishFailed
from events.publisher import LessonEventPublisher, OutgoingEvent, Receipt
from worker.errors import (
    DatabaseUnavailable,
    InvalidCourseId,
    InvalidLesson,
    InvalidTime,
    InvalidUserId,
    ProgressError,
    ValueRefused,
)
from worker.kafka.client import client
from worker.kafka.failures import explain
from worker.kafka.outage_gate import OutageGate
from worker.learners.reads import CourseProgress, ProgressReader, ProgressStats
from worker.postgres.pool import connect_pool
from worker.settings import Settings

POLL_OFFSET_EVERY_S = 0.005
SLOWEST_POLL_S = 0.1
E = TypeVar("E", bound=LessonEvent)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The event is in Kafka and will be applied, but was not within the deadline."""

    event_id: str


class ProgressService:
    """An async context manager. Ids may be UUIDs or their text.

    Every operation raises InvalidUserId or InvalidCourseId for an id that is no UUID, and DatabaseUnavailable when
    PostgreSQL is away. Those that write also raise InvalidLesson and InvalidTime, SetupError when Kafka refuses these
    credentials, and KafkaUnavailable when the event was not acknowledged, or not tried: while Kafka is away one
    publication at a time tries it, every two seconds at most. They answer Accepted when the event was not applied
    within PROGRESS_APPLY_DEADLINE_S. Reads need no Kafka. `reads` says besides how fresh an answer is.
    """

    reads: ProgressReader

    def __init__(self, settings: Settings, *, publish_timeout_s: float = 30) -> None:
        self._settings = settings
        self._publish_timeout_s = publish_timeout_s
        self._publisher: LessonEventPublisher | None = None
        self._entering = asyncio.Lock()
        self._kafka = OutageGate()

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(self._settings)
        self.reads = ProgressReader(self._pool)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._publisher is not None:
            await self._publisher.__aexit__(*exc_info)
        await self._pool.close()

    # Reads

    async def get_course_progress(self, user_id: UUID | str, course_id: UUID | str) -> CourseProgress | None:
        """The progress of one user in one course; None where there is none."""
        return await self._row(_user(user_id), _course(course_id))

    async def get_user_progress(self, user_id: UUID | str, *, include_completed: bool = True) -> list[CourseProgress]:
        """All courses of a user, the latest accessed first."""
        return (await self.reads.list_courses(_user(user_id), include_completed=include_completed)).value

    async def get_bulk_course_progress(
        self, user_id: UUID | str, course_ids: Iterable[UUID | str]
    ) -> dict[UUID, CourseProgress]:
        """Some courses of a user by course id, in one query; without those that have no progress."""
        return (await self.reads.read_courses(_user(user_id), map(_course, course_ids))).value

    async def get_progress_stats(self, user_id: UUID | str) -> ProgressStats:
        """Zeros for a user without progress."""
        return (await self.reads.read_stats(_user(user_id))).value

    async def is_lesson_completed(self, user_id: UUID | str, course_id: UUID | str, lesson_id: str) -> bool:
        """Whether the lesson is completed now; False for a lesson nobody knows."""
        try:
            [row] = await self.reads.fetch("learners/lesson_completed", _user(user_id), _course(course_id), lesson_id)
        except ValueRefused:  # text that no lesson id can be
            return False
        return bool(row["completed"])

    async def get_completion_percentage(self, user_id: UUID | str, course_id: UUID | str) -> int:
        """0-100; 0 where there is no progress."""
        progress = await self.get_course_progress(user_id, course_id)
        return progress.progress_percentage if progress else 0

    # Writes

    async def mark_lesson_complete(
        self,
        user_id: UUID | str,
        course_id: UUID | str,
        lesson_id: str,
        total_lessons: int,
        *,
        occurred_at: datetime | None = None,
    ) -> CourseProgress | Accepted:
        """Completes a lesson; the progress after it. Completing it again changes no date."""
        event = _event(LessonCompleted, user_id, course_id, lesson_id=lesson_id, total_lessons=total_lessons)
        return await self._applied(event, occurred_at)

    async def mark_lesson_incomplete(
        self,
        user_id: UUID | str,
        course_id: UUID | str,
        lesson_id: str,
        total_lessons: int,
        *,
        occurred_at: datetime | None = None,
    ) -> CourseProgress | Accepted | None:
        """Takes a lesson's completion back; the progress after it.

        None, and no event, where there is no progress, or none that has been applied yet.
        """
        event = _event(LessonUncompleted, user_id, course_id, lesson_id=lesson_id, total_lessons=total_lessons)
        if await self._row(event.user_id, event.course_id) is None:
            return None
        return await self._applied(event, occurred_at)

    async def update_last_accessed(
        self,
        user_id: UUID | str,
        course_id: UUID | str,
        *,
        lesson_id: str | None = None,
        occurred_at: datetime | None = None,
    ) -> CourseProgress | Accepted:
        """Notes that the user opened the course; creates its progress at 0 %."""
        return await self._applied(_event(CourseAccessed, user_id, course_id, lesson_id=lesson_id), occurred_at)

    async def reset_course_progress(
        self, user_id: UUID | str, course_id: UUID | str, *, occurred_at: datetime | None = None
    ) -> bool | Accepted:
        """Starts the course over: True, and the progress is gone. False where there was none."""
        event = _event(ProgressReset, user_id, course_id)
        existed = await self._row(event.user_id, event.course_id) is not None
        # Also where nothing is known yet: a first event may be on its way, and this one must end it.
        receipt = await self._publish(event, occurred_at)
        return existed if await self._wait_until_applied([receipt]) else Accepted(receipt.event_id)

    async def apply(self, occurrences: Sequence[OutgoingEvent]) -> tuple[list[str], bool]:
        """Publishes events, then waits once for all: their ids, and whether all are applied within the deadline.

        An event that is published again, with its id and time, changes nothing. Raises KafkaUnavailable when any was
        not acknowledged, others may be; and ValueError for a time that no event can carry, before any is sent.
        """
        receipts = await self._publish_many(occurrences)
        return [receipt.event_id for receipt in receipts], await self._wait_until_applied(receipts)

    # How

    async def _row(self, user_id: UUID, course_id: UUID) -> CourseProgress | None:
        return (await self.reads.read_courses(user_id, [course_id])).value.get(course_id)

    async def _applied(self, event: LessonEvent, occurred_at: datetime | None) -> CourseProgress | Accepted:
        receipt = await self._publish(event, occurred_at)
        row = None
        if await self._wait_until_applied([receipt]):
            row = await self._row(event.user_id, event.course_id)
        # Without a row although applied: a reset, later than this event, has it forgotten.
        return row or Accepted(receipt.event_id)

    async def _publish(self, event: LessonEvent, occurred_at: datetime | None) -> Receipt:
        occurred_at = occurred_at or datetime.now(UTC)
        if occurred_at.utcoffset() is None or occurred_at < EARLIEST:
            raise InvalidTime(f"occurred_at: {occurred_at.isoformat()} has no offset from UTC or is before 2000")
        [receipt] = await self._publish_many([(event, occurred_at, str(uuid4()))])
        return receipt

    async def _publish_many(self, occurrences: Sequence[OutgoingEvent]) -> list[Receipt]:
        with self._kafka.attempt():
            try:
                publisher = await self._connected()
                return await publisher.publish_many(occurrences)
            except PublishFailed as error:
                raise explain("the event is not published", error) from error

    async def _connected(self) -> LessonEventPublisher:
        """The publisher, connected at the first write: a website that only reads needs no Kafka."""
        async with self._entering:
            if self._publisher is None:
                publisher = LessonEventPublisher(
                    **client(self._settings),
                    topic=self._settings.lesson_events_topic,
                    source="progress-service",
                    timeout_s=self._publish_timeout_s,
                )
                self._publisher = await publisher.__aenter__()
            return self._publisher

    async def _wait_until_applied(self, receipts: Sequence[Receipt]) -> bool:
        """Whether the stored offsets passed the events within the deadline; not when the database goes away meanwhile.

        The events count all the same: Kafka has them.
        """
        last = {(receipt.topic, receipt.partition): receipt.offset for receipt in sorted(receipts, key=_offset)}
        try:
            async with asyncio.timeout(self._settings.apply_deadline_s):
                look_s = POLL_OFFSET_EVERY_S
                for (topic, partition), offset in last.items():
                    while not await self._passed(topic, partition, offset):
                        await asyncio.sleep(look_s)
                        look_s = min(SLOWEST_POLL_S, look_s * 1.3)
        except (TimeoutError, DatabaseUnavailable):
            return False
        return True

    async def _passed(self, topic: str, partition: int, offset: int) -> bool:
        [row] = await self.reads.fetch(
            "learners/offset_passed", self._settings.consumer_group, topic, partition, offset
        )
        return bool(row["passed"])


def _offset(receipt: Receipt) -> int:
    return receipt.offset


def _user(user_id: UUID | str) -> UUID:
    return _uuid(user_id, "user", InvalidUserId)


def _course(course_id: UUID | str) -> UUID:
    return _uuid(course_id, "course", InvalidCourseId)


def _uuid(id: UUID | str, what: str, error: type[ProgressError]) -> UUID:
    try:
        return id if isinstance(id, UUID) else UUID(id)
    except (ValueError, AttributeError, TypeError):
        raise error(f"{what} id {str(id)[:40]!r} is not a UUID") from None


def _event(model: type[E], user_id: UUID | str, course_id: UUID | str, **data: Any) -> E:
    ids = {"user_id": _user(user_id), "course_id": _course(course_id)}
    try:
        return model(**ids, **data)
    except ValidationError as error:
        problem = error.errors()[0]
        raise InvalidLesson(f"{problem['loc'][0]}: {problem['msg']}") from None
