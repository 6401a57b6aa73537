"""Provides ProgressService, the eleven operations of a website: it reads PostgreSQL, and writes by publishing events.

The worker is the only writer of progress. An operation that writes publishes its event and waits until the worker has
applied it, so that a later read sees it.
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
    InvalidCourseId,
    InvalidLesson,
    InvalidTime,
    InvalidUserId,
    ProgressError,
)
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain
from worker.kafka.outage_gate import OutageGate
from worker.learners.applied import AppliedOffsets
from worker.learners.reads import CourseProgress, ProgressReader, ProgressStats
from worker.postgres.pool import connect_pool
from worker.settings import Settings

SOURCE = "progress-service"  # of its events
E = TypeVar("E", bound=LessonEvent)


@dataclass(frozen=True, slots=True)
class Accepted:
    """Reports an event that Kafka has stored, and whose row cannot be shown.

    A worker did not apply it within the deadline, PostgreSQL is away, a later reset hides it, or lesson-events was
    created again and is not rewound yet. The last is known some seconds after it happened: for up to
    `current_topic.ASK_EVERY_S` an answer may say that an event of the new topic is applied.
    """

    event_id: str
    hidden: bool = False  # it is applied, and a later reset hides it


class ProgressService:
    """Reads and writes learners' progress for a website. An async context manager. Ids may be UUIDs or their text.

    Every operation raises InvalidUserId or InvalidCourseId for an id that is not a UUID, and DatabaseUnavailable when
    PostgreSQL is away; a completion or an access is then Accepted if Kafka has it.
    An operation that writes also raises:

    - InvalidLesson and InvalidTime;
    - SetupError when Kafka refuses these credentials;
    - KafkaUnavailable when Kafka did not acknowledge the event, or the service did not try to publish it: while Kafka
      is away, one publication at a time tries, at most every two seconds.

    It returns Accepted when the event was not applied within PROGRESS_APPLY_DEADLINE_S. Reads need no Kafka.
    `reads` offers the same reads together with the time as of which they hold. Whatever a learner has stored, an answer
    has `reads.MOST_LESSONS` completed lessons at most: `CourseProgress.more_lessons` tells of those left out.
    """

    reads: ProgressReader

    def __init__(self, settings: Settings, *, publish_timeout_s: float = 30) -> None:
        self._settings = settings
        self._publish_timeout_s = publish_timeout_s
        self._publisher: LessonEventPublisher | None = None
        self._connecting = asyncio.Lock()
        self._kafka = OutageGate()

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(self._settings)
        self.reads = ProgressReader(self._pool)
        self._applied = AppliedOffsets(self._settings, self.reads)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._publisher is not None:
            await self._publisher.__aexit__(*exc_info)
        await self._pool.close()

    # Reads

    async def get_course_progress(self, user_id: UUID | str, course_id: UUID | str) -> CourseProgress | None:
        """Returns the progress of one user in one course; None where there is none."""
        return await self._read_row(_parse_user_id(user_id), _parse_course_id(course_id))

    async def get_user_progress(self, user_id: UUID | str, *, include_completed: bool = True) -> list[CourseProgress]:
        """Returns the courses of a user, the latest accessed first, up to `reads.MOST_COURSES` of them.

        `reads.list_courses` reads further ones.
        """
        return (await self.reads.list_courses(_parse_user_id(user_id), include_completed=include_completed)).value

    async def get_bulk_course_progress(
        self, user_id: UUID | str, course_ids: Iterable[UUID | str]
    ) -> dict[UUID, CourseProgress]:
        """Returns some courses of a user by course id, in one query; courses without progress are missing."""
        return (await self.reads.read_courses(_parse_user_id(user_id), map(_parse_course_id, course_ids))).value

    async def get_progress_stats(self, user_id: UUID | str) -> ProgressStats:
        """Returns the user's statistics: zeros for a user without progress."""
        return (await self.reads.read_stats(_parse_user_id(user_id))).value

    async def is_lesson_completed(self, user_id: UUID | str, course_id: UUID | str, lesson_id: str) -> bool:
        """Tells whether the lesson is completed now; False for an unknown lesson."""
        return await self.reads.is_completed(_parse_user_id(user_id), _parse_course_id(course_id), lesson_id)

    async def get_completion_percentage(self, user_id: UUID | str, course_id: UUID | str) -> int:
        """Returns the percentage, 0-100; 0 where there is no progress."""
        progress = await self.get_course_progress(user_id, course_id)
        return progress.progress_percentage if progress else 0

    # Writes

    async def mark_lesson_complete(
        self,
        user_id: UUID | str,
        course_id: UUID | str,
        lesson_id: str,
        total_lessons: int | None = None,
        *,
        occurred_at: datetime | None = None,
    ) -> CourseProgress | Accepted:
        """Completes a lesson and returns the progress after it. Completing it again changes no date.

        A course with versions needs no `total_lessons` (rule 8).
        """
        event = _build_event(LessonCompleted, user_id, course_id, lesson_id=lesson_id, total_lessons=total_lessons)
        return await self._publish_and_read(event, occurred_at)

    async def mark_lesson_incomplete(
        self,
        user_id: UUID | str,
        course_id: UUID | str,
        lesson_id: str,
        total_lessons: int | None = None,
        *,
        occurred_at: datetime | None = None,
    ) -> CourseProgress | Accepted | None:
        """Un-completes a lesson and returns the progress after it.

        Publishes also where no progress is known, because a completion may be on its way. Returns None where there was
        nothing to take back: this event is the first of the course, or a later reset hides it. The progress row that a
        first event begins, here at 0 %, stays.
        """
        event = _build_event(LessonUncompleted, user_id, course_id, lesson_id=lesson_id, total_lessons=total_lessons)
        existed = await self._read_row(event.user_id, event.course_id) is not None
        receipt = await self._publish(event, occurred_at)
        if not await self._wait_until_applied([receipt]):
            return Accepted(receipt.event_id)
        row = await self._read_row(event.user_id, event.course_id)
        return None if row is None or (not existed and _has_one_event(row)) else row

    async def update_last_accessed(
        self,
        user_id: UUID | str,
        course_id: UUID | str,
        *,
        lesson_id: str | None = None,
        total_lessons: int | None = None,
        occurred_at: datetime | None = None,
    ) -> CourseProgress | Accepted:
        """Records that the user opened the course, and returns the progress; new progress begins at 0 % (rule 5)."""
        event = _build_event(CourseAccessed, user_id, course_id, lesson_id=lesson_id, total_lessons=total_lessons)
        return await self._publish_and_read(event, occurred_at)

    async def reset_course_progress(
        self, user_id: UUID | str, course_id: UUID | str, *, occurred_at: datetime | None = None
    ) -> bool | Accepted:
        """Resets the course: deletes its progress up to `occurred_at`. Returns whether there was any."""
        occurred_at = occurred_at or datetime.now(UTC)
        event = _build_event(ProgressReset, user_id, course_id)
        row = await self._read_row(event.user_id, event.course_id)
        # Publishes also where no row exists yet: a first event may be on its way, and the reset must end it.
        receipt = await self._publish(event, occurred_at)
        if not await self._wait_until_applied([receipt]):
            return Accepted(receipt.event_id)
        return row is not None and row.started_at <= occurred_at

    async def publish_and_wait(self, events: Sequence[OutgoingEvent]) -> tuple[list[str], bool]:
        """Publishes events, waits once for all, and returns their ids and whether all were applied within the deadline.

        An event that is published again, with its id and time, changes nothing. Raises KafkaUnavailable when Kafka did
        not acknowledge one of them, though it may have stored others. Raises ValueError for a time that no event can
        carry, before it sends any.
        """
        receipts = await self._publish_many(events)
        return [receipt.event_id for receipt in receipts], await self._wait_until_applied(receipts)

    async def wait_until_caught_up(self) -> bool:
        """Waits until workers have applied every lesson event that Kafka has now, so that no learner's is on its way.

        Returns False where that takes longer than `applied.CATCH_UP_WITHIN_S`, or cannot be known.
        """
        with self._kafka.attempt():
            try:
                client = (await self._connect_publisher()).client
            except PublishFailed as error:
                raise explain("Kafka is not asked", error) from error
        return client is not None and await self._applied.catch_up(client)

    # Implementation

    async def _read_row(self, user_id: UUID, course_id: UUID) -> CourseProgress | None:
        return (await self.reads.read_courses(user_id, [course_id])).value.get(course_id)

    async def _publish_and_read(self, event: LessonEvent, occurred_at: datetime | None) -> CourseProgress | Accepted:
        receipt = await self._publish(event, occurred_at)
        if not await self._wait_until_applied([receipt]):
            return Accepted(receipt.event_id)
        return await self._read_row(event.user_id, event.course_id) or Accepted(receipt.event_id, hidden=True)

    async def _publish(self, event: LessonEvent, occurred_at: datetime | None) -> Receipt:
        occurred_at = occurred_at or datetime.now(UTC)
        if occurred_at.utcoffset() is None or occurred_at < EARLIEST:
            raise InvalidTime(f"occurred_at: {occurred_at.isoformat()} has no offset from UTC or is before 2000")
        [receipt] = await self._publish_many([(event, occurred_at, str(uuid4()))])
        return receipt

    async def _publish_many(self, events: Sequence[OutgoingEvent]) -> list[Receipt]:
        with self._kafka.attempt():
            try:
                publisher = await self._connect_publisher()
                return await publisher.publish_many(events)
            except PublishFailed as error:
                raise explain("the event is not published", error) from error

    async def _connect_publisher(self) -> LessonEventPublisher:
        """Returns the publisher. Connects it at the first write, because a website that only reads needs no Kafka."""
        async with self._connecting:
            if self._publisher is None:
                publisher = LessonEventPublisher(
                    **client_arguments(self._settings),
                    topic=self._settings.lesson_events_topic,
                    source=SOURCE,
                    timeout_s=self._publish_timeout_s,
                )
                self._publisher = await publisher.__aenter__()
            return self._publisher

    async def _wait_until_applied(self, receipts: Sequence[Receipt]) -> bool:
        return await self._applied.wait_for(receipts, self._publisher and self._publisher.client)


def _has_one_event(row: CourseProgress) -> bool:
    """Tells whether the row is what one un-completion makes of none: no lesson, and no other access."""
    return not row.lessons_completed and row.started_at == row.last_accessed_at


def _parse_user_id(user_id: UUID | str) -> UUID:
    return _parse_uuid(user_id, "user", InvalidUserId)


def _parse_course_id(course_id: UUID | str) -> UUID:
    return _parse_uuid(course_id, "course", InvalidCourseId)


def _parse_uuid(id: UUID | str, what: str, error: type[ProgressError]) -> UUID:
    try:
        return id if isinstance(id, UUID) else UUID(id)
    except (ValueError, AttributeError, TypeError):
        raise error(f"{what} id {str(id)[:40]!r} is not a UUID") from None


def _build_event(model: type[E], user_id: UUID | str, course_id: UUID | str, **data: Any) -> E:
    ids = {"user_id": _parse_user_id(user_id), "course_id": _parse_course_id(course_id)}
    try:
        return model(**ids, **data)
    except ValidationError as error:
        problem = error.errors()[0]
        raise InvalidLesson(f"{problem['loc'][0]}: {problem['msg']}") from None
