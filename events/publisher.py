"""Publishes events of a course player, or of the courses' owner: Kafka has acknowledged them, or an error says not."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Self, TypeAlias, TypeVar
from uuid import uuid4

from aiokafka.client import AIOKafkaClient
from aiokafka.structs import RecordMetadata

from events import topics
from events.catalog import CatalogEvent, CoursePublished, digest_version
from events.envelope import binary
from events.learners import LearnerEvent
from events.models import EARLIEST, ContractEvent, LessonEvent, uuid_v8
from events.producer import OutgoingRecord, Producer

AnyEvent = TypeVar("AnyEvent", bound=ContractEvent)
# An event, when it happened, its id and its cause; without an id the event gets a new one.
Outgoing: TypeAlias = tuple[AnyEvent, datetime] | tuple[AnyEvent, datetime, str] | tuple[AnyEvent, datetime, str, str]
OutgoingEvent: TypeAlias = Outgoing[LessonEvent]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Says where Kafka has stored an event durably."""

    topic: str
    partition: int
    offset: int
    event_id: str
    timestamp: datetime  # of the Kafka record, UTC: when it was published, not when it happened


class EventPublisher(Generic[AnyEvent]):
    """Publishes events of one topic. An async context manager; one per process serves any number of tasks.

    `source` names the application in the events. `timeout_s` bounds entering, each publication
    and leaving while Kafka is away. Further arguments (security, compression, linger) go to
    AIOKafkaProducer. Entering raises PublishFailed when Kafka does not answer.
    """

    def __init__(
        self, bootstrap_servers: str, *, topic: str, source: str, timeout_s: float = 30, **producer: Any
    ) -> None:
        self._topic = topic
        self._source = source
        self._producer = Producer(bootstrap_servers, timeout_s=timeout_s, **producer)

    async def __aenter__(self) -> Self:
        await self._producer.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._producer.__aexit__(*exc_info)

    @property
    def client(self) -> AIOKafkaClient | None:
        """Returns aiokafka's client, for questions beside publishing; None while there is no connection."""
        return self._producer.client

    async def publish(
        self, event: AnyEvent, *, occurred_at: datetime | None = None, event_id: str | None = None, cause: str = ""
    ) -> Receipt:
        """Publishes one event that happened at `occurred_at`, by default now; durable when it returns.

        Give `occurred_at` with the offset from UTC of the learner's clock, which the event keeps. To repeat an earlier
        attempt, give its `event_id`. `cause` says what has caused the event, if not the learner. Raises ValueError for
        an `occurred_at` that is naive or before 2000, PublishFailed when Kafka does not acknowledge in time.
        """
        outgoing = (event, occurred_at or datetime.now(UTC), event_id or self._make_id(event), cause)
        return (await self.publish_many([outgoing]))[0]

    async def publish_many(self, events: Iterable[Outgoing[AnyEvent]]) -> list[Receipt]:
        """Publishes many events without waiting in between; the receipts come in the order given.

        Raises ValueError before anything is sent, or PublishFailed with the first event's error,
        once every other event is stored or given up.
        """
        # Not the time of the event: readers compare the two to detect a wrong clock.
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        outgoing = [self._build_record(now_ms, *event) for event in events]
        stored = await self._producer.send_all([record for _, record in outgoing])
        return [_build_receipt(id, now_ms, where) for (id, _), where in zip(outgoing, stored, strict=True)]

    def _build_record(
        self, now_ms: int, event: AnyEvent, occurred_at: datetime, event_id: str | None = None, cause: str = ""
    ) -> tuple[str, OutgoingRecord]:
        if occurred_at.utcoffset() is None or occurred_at < EARLIEST:
            raise ValueError(f"occurred_at: {occurred_at.isoformat()} has no offset from UTC or is before 2000")
        event_id = event_id or self._make_id(event)
        headers, value = binary(event, id=event_id, time=occurred_at, source=self._source, cause=cause)
        return event_id, OutgoingRecord(self._topic, self._make_key(event), value, headers, now_ms)

    def _make_key(self, event: AnyEvent) -> bytes:
        """Returns the record's key: events with the same key keep their order."""
        raise NotImplementedError

    def _make_id(self, event: AnyEvent) -> str:
        return str(uuid4())


class LessonEventPublisher(EventPublisher[LessonEvent]):
    """Publishes lesson events for a course player, as EventPublisher."""

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        topic: str = topics.LESSON_EVENTS,
        source: str = "course-player",
        timeout_s: float = 30,
        **producer: Any,
    ) -> None:
        super().__init__(bootstrap_servers, topic=topic, source=source, timeout_s=timeout_s, **producer)

    def _make_key(self, event: LessonEvent) -> bytes:
        return str(event.user_id).encode()


class CourseCatalogPublisher(EventPublisher[CatalogEvent]):
    """Publishes the versions of courses for their owner, as EventPublisher.

    A version that is published again has the same id, and changes nothing.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        topic: str = topics.COURSE_CATALOG,
        source: str = "course-catalog",
        timeout_s: float = 30,
        **producer: Any,
    ) -> None:
        super().__init__(bootstrap_servers, topic=topic, source=source, timeout_s=timeout_s, **producer)

    def _make_key(self, event: CatalogEvent) -> bytes:
        return str(event.course_id).encode()

    def _make_id(self, event: CatalogEvent) -> str:
        if isinstance(event, CoursePublished):
            return str(uuid_v8(f"CoursePublished/{event.course_id}/{event.version}/{digest_version(event).hex()}"))
        return super()._make_id(event)


class LearnerPublisher(EventPublisher[LearnerEvent]):
    """Publishes how to address learners, as EventPublisher. Of several descriptions the latest `occurred_at` counts."""

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        topic: str = topics.LEARNERS,
        source: str = "learners",
        timeout_s: float = 30,
        **producer: Any,
    ) -> None:
        super().__init__(bootstrap_servers, topic=topic, source=source, timeout_s=timeout_s, **producer)

    def _make_key(self, event: LearnerEvent) -> bytes:
        return str(event.user_id).encode()


def _build_receipt(event_id: str, now_ms: int, stored: RecordMetadata) -> Receipt:
    # Type 1: the broker set the timestamp. Otherwise it is ours.
    timestamp = datetime.fromtimestamp((stored.timestamp if stored.timestamp_type else now_ms) / 1000, UTC)
    return Receipt(stored.topic, stored.partition, stored.offset, event_id, timestamp)
