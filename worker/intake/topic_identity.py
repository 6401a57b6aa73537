"""Tells a topic that was deleted and created again from the one that the stored offsets count in.

It compares the topic's id, because the new log may have grown beyond those offsets already. docs/decisions/0012 says
why by topic and not by partition, and when it is asked.
"""

from collections.abc import Mapping
from uuid import UUID

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from worker.errors import TopicRecreated
from worker.kafka.topic_id import Leader, Topic, fetch_topic
from worker.stream.sink import Sink
from worker.stream.stream import Stream

log = structlog.get_logger("identity")


class TopicIdentity:
    """Keeps the id of the topic that the stored offsets of a stream count in, and who leads its partitions."""

    def __init__(self, stream: Stream) -> None:
        self._topic = stream.topic
        self._rewind_options = stream.rewind_options
        self._known: UUID | None = None
        # By partition, as of the last answer. None: not known, as from a broker that is older than topic ids.
        self.leaders: Mapping[int, Leader] | None = None
        self._warned = False

    async def check(self, client: AIOKafkaClient, sink: Sink) -> None:
        """Checks the topic's id before stored offsets are used.

        Raises TopicRecreated; Unavailable or KafkaError: ask again.
        """
        found = await fetch_topic(client, self._topic)
        if found is not None:
            self._known = await sink.known_topic(self._topic, found.id)
            self._compare(found)
        elif not self._warned:
            self._warned = True
            log.warning("no topic ids from this broker: a recreated topic is noticed only if its log is shorter")

    async def check_again(self, client: AIOKafkaClient) -> None:
        """Checks it while the offsets are in use. Asks Kafka alone, and learns nothing while that is away.

        Raises TopicRecreated.
        """
        try:
            found = await fetch_topic(client, self._topic)
        except KafkaError:
            return
        if found is not None:
            self._compare(found)

    def _compare(self, found: Topic) -> None:
        self.leaders = found.leaders
        if self._known not in (None, found.id):
            raise TopicRecreated(
                f"{self._topic}: the topic was recreated (its id was {self._known} and is {found.id}), and the stored "
                "offsets do not apply to it. To apply it from its start, which is safe at any time: stop the workers, "
                f"then `course-progress rewind --to earliest {self._rewind_options}`"
            )
