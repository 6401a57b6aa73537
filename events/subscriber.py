"""Reads course events for the certificate service, or any other: each event at least once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from events import topics
from events.consumer import ANSWER_TIMEOUT_S, close_consumer
from events.envelope import MalformedEvent, UnknownType, data_of, read
from events.models import COURSE_EVENTS, CourseEvent

COMMIT_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class Received:
    """Holds a course event and its place in Kafka."""

    event_id: str  # the same at every redelivery and every republication
    type: str
    time: datetime  # UTC
    event: CourseEvent
    partition: int
    offset: int


class CourseEventSubscriber(AsyncIterator[Received]):
    """Reads course events as a member of the consumer group, from the group's committed offset on.

        async with CourseEventSubscriber(servers, "certificates") as subscriber:
            async for received in subscriber:
                await issue_certificate(received)

    Delivery is at least once. An event is done when the loop asks for the next one, and only the
    offsets of done events are committed. An event whose body raised, or ended in `break`, is
    delivered again: to this subscriber by another `async for`, else to the partition's next reader.
    Commits lag by up to 0.1 s, and a partition can move to another member while the body handles
    its event. So keep `event_id`s, and skip an event whose id you have.

    An event of an unknown type is skipped. A malformed event raises MalformedEvent with its place,
    because a lost completion is a certificate that is never issued. Another `async for` continues
    behind it; so does a restart after the group's offset is moved behind it.

    Entering and iterating raise KafkaError when Kafka does not answer. Further arguments
    (security, group_instance_id, timeouts) go to AIOKafkaConsumer. A body may take five minutes
    (`max_poll_interval_ms`) before the group gives its partitions to another member.
    """

    def __init__(
        self, bootstrap_servers: str, group_id: str, *, topic: str = topics.COURSE_EVENTS, **consumer: Any
    ) -> None:
        self._topic = topic
        self._settings = {
            "bootstrap_servers": bootstrap_servers,
            "group_id": group_id,
            **consumer,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "isolation_level": "read_committed",
        }
        self._in_hand: ConsumerRecord | None = None
        self._done: dict[TopicPartition, int] = {}  # the next offset of each partition, not committed yet
        self._committed_at = 0.0

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(self._topic, **self._settings)
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        try:
            # While Kafka is away aiokafka would try without end. Uncommitted events are delivered again.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await self._commit()
        finally:
            await close_consumer(self._consumer)

    def __aiter__(self) -> Self:
        if self._in_hand is not None:  # its body did not finish
            with contextlib.suppress(IllegalStateError):  # the partition now belongs to another member
                self._consumer.seek(_partition(self._in_hand), self._in_hand.offset)
            self._in_hand = None
        return self

    async def __anext__(self) -> Received:
        if self._in_hand is not None:
            self._finish(self._in_hand)
            self._in_hand = None
        while True:
            record = await self._next_record()
            received = _read_event(record)
            if received is not None:
                self._in_hand = record
                return received
            self._finish(record)

    async def _next_record(self) -> ConsumerRecord:
        if _now() - self._committed_at > COMMIT_INTERVAL_S:
            await self._commit()
        fetched = await self._consumer.getmany(max_records=1)
        if fetched:
            [[record]] = fetched.values()
            return record
        await self._commit()  # before it waits, so that no done event stays uncommitted
        return await self._consumer.getone()

    def _finish(self, record: ConsumerRecord) -> None:
        self._done[_partition(record)] = record.offset + 1

    async def _commit(self) -> None:
        owned = self._consumer.assignment()
        offsets = {partition: offset for partition, offset in self._done.items() if partition in owned}
        if offsets:
            # The partitions moved to another member meanwhile, which receives those events again.
            with contextlib.suppress(CommitFailedError, IllegalStateError):
                await self._consumer.commit(offsets)
        self._done.clear()
        self._committed_at = _now()


def _read_event(record: ConsumerRecord) -> Received | None:
    """Reads the event of a record. None: it has no value, or a type that this version does not know."""
    if record.value is None:
        return None
    try:
        envelope = read(record.value, record.headers)
        event = data_of(envelope, COURSE_EVENTS)
    except UnknownType:
        return None
    except MalformedEvent as error:
        where = f"{record.topic} partition {record.partition} offset {record.offset}"
        raise MalformedEvent(where, str(error)) from None
    return Received(envelope.id, type(event).__name__, envelope.time, event, record.partition, record.offset)


def _partition(record: ConsumerRecord) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)


def _now() -> float:
    return asyncio.get_running_loop().time()
