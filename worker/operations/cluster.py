"""What Kafka tells whoever watches: where the logs end, who is in the group, the newest dead letters."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import for_code

from events.consumer import close_consumer
from worker.deadletters.newest import NewestDeadLetters, NewestSummary
from worker.kafka.client import client
from worker.kafka.topics import admin_client
from worker.settings import Settings

LARGEST_FETCH = 4 * 1024 * 1024  # dead letters may be large, and only a row of each is kept

Spans = Mapping[TopicPartition, tuple[int, int]]  # the first offset that is there, and the one after the last


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the workers' consumer group, as Kafka sees it."""

    member_id: str
    client_id: str
    host: str
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Kafka's consumer group; `state` is its word: Stable, Empty, PreparingRebalance, …"""

    state: str
    members: tuple[Member, ...]


class Cluster:
    """Connect, then ask. All of it raises KafkaError, KafkaUnavailable or SetupError, and may take long: put a timeout
    around it, and `close` after an error that may pass, so that the next `connect` begins anew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: AsyncExitStack | None = None

    @property
    def is_connected(self) -> bool:
        return self._open is not None

    async def connect(self) -> None:
        """Does nothing when connected."""
        if self._open is not None:
            return
        async with AsyncExitStack() as opening:
            self._admin: AIOKafkaAdminClient = await opening.enter_async_context(admin_client(self._settings))
            self._consumer = AIOKafkaConsumer(
                **client(self._settings),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                # As the workers see it: an open transaction is the end.
                isolation_level="read_committed",
                fetch_max_bytes=LARGEST_FETCH,
                max_partition_fetch_bytes=LARGEST_FETCH // 4,
            )
            opening.push_async_callback(close_consumer, self._consumer)
            await self._consumer.start()
            self._tail = NewestDeadLetters(self._consumer)
            self._open = opening.pop_all()

    async def close(self) -> None:
        if self._open is not None:
            opened, self._open = self._open, None
            await opened.aclose()

    async def lesson_events(self) -> dict[int, tuple[int, int]]:
        """Of each partition of lesson-events the first offset, and the end."""
        spans = await self._spans(self._settings.lesson_events_topic)
        return {tp.partition: span for tp, span in spans.items()}

    async def dead_letters(self, newest: int) -> NewestSummary:
        """The newest of the dead letter topic."""
        spans = await self._spans(self._settings.dead_letter_topic)
        if self._consumer.assignment() != spans.keys():
            self._consumer.assign(list(spans))
            self._consumer.pause(*spans)
            self._tail = NewestDeadLetters(self._consumer)
        return await self._tail.look(spans, newest)

    async def group(self) -> Group:
        """The workers' group; without members when it was never there."""
        [response] = await self._admin.describe_consumer_groups([self._settings.consumer_group])
        [(error, _group, state, _type, _protocol, members, *_)] = response.groups
        if error:
            raise for_code(error)(f"consumer group {self._settings.consumer_group}")
        return Group(state, tuple(self._member(*member[:5]) for member in members))

    def _member(self, member_id: str, client_id: str, host: str, _metadata: bytes, assignment: bytes) -> Member:
        owned = ConsumerProtocolMemberAssignment.decode(assignment).partitions() if assignment else []
        ours = (tp.partition for tp in owned if tp.topic == self._settings.lesson_events_topic)
        return Member(member_id, client_id, host.lstrip("/"), tuple(sorted(ours)))

    async def _spans(self, topic: str) -> Spans:
        [described] = await self._admin.describe_topics([topic])
        if described["error_code"]:
            raise for_code(described["error_code"])(topic)
        partitions = [TopicPartition(topic, p["partition"]) for p in described["partitions"]]
        first = await self._consumer.beginning_offsets(partitions)
        end = await self._consumer.end_offsets(partitions)
        return {tp: (first[tp], end[tp]) for tp in partitions}
