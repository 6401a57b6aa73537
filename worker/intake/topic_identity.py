"""Tells a topic that was deleted and created anew from the one that the stored offsets count in.

By its id, for the new log may have grown beyond those offsets already. Why by topic and not by partition, and when it
is asked: docs/decisions/0012.
"""

from uuid import UUID

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from worker.errors import TopicRecreated
from worker.kafka.topic_id import fetch_topic_id
from worker.progress.store import Store
from worker.settings import Settings

log = structlog.get_logger("identity")


class TopicIdentity:
    """What one worker knows of the id of its topic."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.lesson_events_topic
        self._known: UUID | None = None
        self._told = False

    async def check(self, client: AIOKafkaClient, store: Store) -> None:
        """Before stored offsets are used. Raises TopicRecreated; Unavailable or KafkaError: ask again."""
        found = await fetch_topic_id(client, self._topic)
        if found is not None:
            self._known = await store.known_topic(self._topic, found)
            self._compare(found)
        elif not self._told:
            self._told = True
            log.warning("Kafka tells no id of the topic: one created anew is known by its offsets alone")

    async def check_again(self, client: AIOKafkaClient) -> None:
        """While the offsets are in use. Asks Kafka alone; while that is away, learns nothing. Raises TopicRecreated."""
        try:
            found = await fetch_topic_id(client, self._topic)
        except KafkaError:
            return
        if found is not None:
            self._compare(found)

    def _compare(self, found: UUID) -> None:
        if self._known not in (None, found):
            raise TopicRecreated(
                f"{self._topic}: the topic was recreated (its id was {self._known} and is {found}), and the stored "
                "offsets say nothing of it. To apply it from its start, which is safe at any time: stop the workers, "
                "then `course-progress rewind --to earliest`"
            )
