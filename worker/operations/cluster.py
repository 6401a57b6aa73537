"""Asks Kafka for the operator's view: where the logs end, the members of the group, the newest dead letters."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import for_code

from events.consumer import close_consumer
from worker.deadletters.fetch import LARGEST_FETCH
from worker.deadletters.newest import NewestDeadLetters, NewestSummary
from worker.kafka.client import client_arguments
from worker.kafka.topic_id import fetch_topic_id
from worker.kafka.topics import LogRanges, admin_client
from worker.settings import Settings


@dataclass(frozen=True, slots=True)
class Member:
    """Describes a member of the workers' consumer group, as Kafka sees it."""

    member_id: str
    client_id: str
    host: str
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Describes the workers' consumer group; `state` is Kafka's word: Stable, Empty, PreparingRebalance, …"""

    state: str
    members: tuple[Member, ...]


class Cluster:
    """Asks one Kafka cluster. Call `connect` before the first question.

    Every method may raise KafkaError, KafkaUnavailable or SetupError, and may take long: put a timeout around it.
    After an error that may pass call `close`, so that the next `connect` begins again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: AsyncExitStack | None = None

    @property
    def is_connected(self) -> bool:
        return self._open is not None

    async def connect(self) -> None:
        """Opens an admin client and a consumer. Does nothing when connected."""
        if self._open is not None:
            return
        async with AsyncExitStack() as opening:
            self._admin: AIOKafkaAdminClient = await opening.enter_async_context(admin_client(self._settings))
            self._consumer = AIOKafkaConsumer(
                **client_arguments(self._settings),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                # As the workers read: the log ends at an open transaction.
                isolation_level="read_committed",
                fetch_max_bytes=LARGEST_FETCH,
                max_partition_fetch_bytes=LARGEST_FETCH // 4,
            )
            opening.push_async_callback(close_consumer, self._consumer)
            await self._consumer.start()
            self._newest = NewestDeadLetters(self._consumer)
            self._open = opening.pop_all()

    async def close(self) -> None:
        if self._open is not None:
            opened, self._open = self._open, None
            await opened.aclose()

    async def read_log_ranges(self) -> dict[int, tuple[int, int]]:
        """Returns the first offset and the end of each partition of lesson-events."""
        ranges = await self._read_ranges(self._settings.lesson_events_topic)
        return {tp.partition: log_range for tp, log_range in ranges.items()}

    async def read_topic_id(self) -> UUID | None:
        """Returns the id of lesson-events; None from a broker that is older than topic ids."""
        return await fetch_topic_id(self._admin._client, self._settings.lesson_events_topic)

    async def read_dead_letters(self, newest: int) -> NewestSummary:
        """Returns the newest dead letters."""
        ranges = await self._read_ranges(self._settings.dead_letter_topic)
        if self._consumer.assignment() != ranges.keys():
            self._consumer.assign(list(ranges))
            self._consumer.pause(*ranges)
            self._newest = NewestDeadLetters(self._consumer)
        return await self._newest.look(ranges, newest)

    async def read_group(self) -> Group:
        """Returns the workers' group; without members when Kafka does not know it."""
        [response] = await self._admin.describe_consumer_groups([self._settings.consumer_group])
        [(error, _group, state, _type, _protocol, members, *_)] = response.groups
        if error:
            raise for_code(error)(f"consumer group {self._settings.consumer_group}")
        return Group(state, tuple(self._build_member(*member[:5]) for member in members))

    def _build_member(self, member_id: str, client_id: str, host: str, _metadata: bytes, assignment: bytes) -> Member:
        owned = ConsumerProtocolMemberAssignment.decode(assignment).partitions() if assignment else []
        own = (tp.partition for tp in owned if tp.topic == self._settings.lesson_events_topic)
        return Member(member_id, client_id, host.lstrip("/"), tuple(sorted(own)))

    async def _read_ranges(self, topic: str) -> LogRanges:
        [described] = await self._admin.describe_topics([topic])
        if described["error_code"]:
            raise for_code(described["error_code"])(topic)
        partitions = [TopicPartition(topic, p["partition"]) for p in described["partitions"]]
        first = await self._consumer.beginning_offsets(partitions)
        end = await self._consumer.end_offsets(partitions)
        return {tp: (first[tp], end[tp]) for tp in partitions}
