"""Publishes learners' events and versions of courses, and repeats each until Kafka has acknowledged it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID, uuid4

from events import (
    CourseCatalogPublisher,
    CoursePublished,
    LearnerPublisher,
    LessonEvent,
    LessonEventPublisher,
    PublishFailed,
)
from events.producer import OutgoingRecord, Producer
from worker.demo.author import Author, describe
from worker.demo.people import describe_person
from worker.demo.player import BrokenRecord, Happening, Player
from worker.kafka.client import client_arguments
from worker.settings import Settings

TURN_S = 0.1
REPEAT_AFTER_S = 1.0

Origin = tuple[str, int, int]  # topic, partition, offset
Sent = TypeVar("Sent")
Answer = TypeVar("Answer")


class Traffic:
    """Publishes the player's turns to lesson-events, the author's to course-catalog, and who the learners are.

    With `remember` it keeps everything that was acknowledged, for the comparison. A demo without end cannot keep it.
    """

    def __init__(self, settings: Settings, player: Player, author: Author, *, remember: bool) -> None:
        self.player = player
        self.author = author
        self.versions: list[CoursePublished] = []  # those that were acknowledged
        self.news = ""  # what the latest of them changed
        self.published = 0
        self.history: list[tuple[LessonEvent, datetime]] = []
        self.good: set[Origin] = set()
        self.bad: set[Origin] = set()
        self.trouble = ""
        self._settings = settings
        self._described: set[UUID] = set()  # of the learners who study now
        self._remember = remember
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Makes `run` return when Kafka has acknowledged the current turn."""
        self._stopping.set()

    async def run(self) -> None:
        servers, topic = client_arguments(self._settings), self._settings.lesson_events_topic
        async with (
            LessonEventPublisher(**servers, topic=topic, source="demo") as publisher,
            CourseCatalogPublisher(**servers, topic=self._settings.course_catalog_topic, source="demo") as catalog,
            LearnerPublisher(**servers, topic=self._settings.learners_topic, source="demo") as learners,
            Producer(**servers) as producer,
        ):
            while not self._stopping.is_set():
                now = datetime.now(UTC)
                await self._publish_versions(catalog, self.author.turn(now), now)
                await self._describe_learners(learners, now)
                turn = self.player.turn(now)
                await self._publish(publisher, turn.happenings)
                await self._publish_broken(producer, turn.broken)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), TURN_S)

    async def _publish_versions(
        self, publisher: CourseCatalogPublisher, versions: list[CoursePublished], now: datetime
    ) -> None:
        if versions:
            await self._send_until_acknowledged(publisher.publish_many, [(version, now) for version in versions])
            self.versions += versions
            self.news = describe(versions[-1])

    async def _describe_learners(self, publisher: LearnerPublisher, now: datetime) -> None:
        studying = {learner.user_id for learner in self.player.learners}
        if new := studying - self._described:
            described = [(describe_person(user_id), now, str(uuid4())) for user_id in new]
            await self._send_until_acknowledged(publisher.publish_many, described)
        self._described = studying

    async def _publish(self, publisher: LessonEventPublisher, happenings: list[Happening]) -> None:
        receipts = await self._send_until_acknowledged(publisher.publish_many, happenings)
        self.published += len(receipts)
        if self._remember:
            self.history += [(happening.event, happening.occurred_at) for happening in happenings]
            self.good |= {(r.topic, r.partition, r.offset) for r in receipts}

    async def _publish_broken(self, producer: Producer, broken: list[BrokenRecord]) -> None:
        topic = self._settings.lesson_events_topic
        records = [OutgoingRecord(topic, key, value, []) for key, value in broken]
        stored = await self._send_until_acknowledged(producer.send_all, records)
        self.published += len(stored)
        if self._remember:
            self.bad |= {(s.topic, s.partition, s.offset) for s in stored}

    async def _send_until_acknowledged(
        self, send: Callable[[Sequence[Sent]], Awaitable[list[Answer]]], what: list[Sent]
    ) -> list[Answer]:
        """Sends until Kafka acknowledges: the same ids each time, because Kafka may have stored a failed send."""
        while True:
            try:
                answers = await send(what)
            except PublishFailed as error:
                self.trouble = str(error)
                await asyncio.sleep(REPEAT_AFTER_S)
            else:
                self.trouble = ""
                return answers
