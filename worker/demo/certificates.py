"""Simulates a small service of another team: it subscribes to course events, and ignores repeated ones."""

import asyncio
from collections import deque
from uuid import uuid4

from aiokafka.errors import KafkaError

from events import (
    CertificateIssued,
    CourseCompleted,
    CourseCompletionRevoked,
    CourseEvent,
    CourseEventSubscriber,
    Received,
)
from worker.kafka.client import client_arguments
from worker.settings import Settings

ENDLESS_MEMORY = 100_000  # event ids
AGAIN_AFTER_S = 1.0


class Certificates:
    """Follows course-events in a consumer group of its own. Without `remember`, it keeps ENDLESS_MEMORY events."""

    def __init__(self, settings: Settings, *, remember: bool) -> None:
        self.issued = self.revoked = 0
        self.certified = 0  # certificates that `course-progress effects` has issued
        self.received: dict[str, CourseEvent] = {}
        self.latest: deque[CourseCompleted] = deque(maxlen=50)
        self.positions: dict[int, int] = {}  # partition → the next offset
        self._settings = settings
        self._remember = remember

    async def run(self) -> None:
        group = f"demo-certificates-{uuid4()}"
        while True:
            try:
                await self._follow(group)
            except KafkaError:  # Kafka is away; the group continues at its committed offsets
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _follow(self, group: str) -> None:
        topic = self._settings.course_events_topic
        async with CourseEventSubscriber(**client_arguments(self._settings), group_id=group, topic=topic) as subscriber:
            async for received in subscriber:
                self.receive(received)

    def receive(self, received: Received) -> None:
        """Counts an event the first time that it arrives."""
        self.positions[received.partition] = received.offset + 1
        if received.event_id in self.received:
            return
        self.received[received.event_id] = received.event
        if not self._remember and len(self.received) > ENDLESS_MEMORY:
            del self.received[next(iter(self.received))]
        if isinstance(received.event, CourseCompleted):
            self.issued += 1
            self.latest.appendleft(received.event)
        elif isinstance(received.event, CourseCompletionRevoked):
            self.revoked += 1
        elif isinstance(received.event, CertificateIssued):
            self.certified += received.event.issue == 1  # a later one is the same certificate
