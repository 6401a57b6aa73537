"""Fetches a topic's id and its partitions' leader epochs. A topic that was created again has another id.

Metadata responses carry the id since version 10 (Kafka 2.8); aiokafka knows up to version 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from worker.kafka.requests import TEXT, send_request

NO_ID = UUID(int=0)


class Uuid(AbstractType[UUID]):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


BROKER = (("node", Int32), ("host", TEXT), ("port", Int32), ("rack", TEXT), ("tags", TaggedFields))
PARTITION = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("in_sync", CompactArray(Int32)),
    ("offline", CompactArray(Int32)),
    ("tags", TaggedFields),
)
TOPIC = (
    ("error_code", Int16),
    ("name", TEXT),
    ("topic_id", Uuid),
    ("is_internal", Boolean),
    ("partitions", CompactArray(*PARTITION)),
    ("authorized_operations", Int32),
    ("tags", TaggedFields),
)


class MetadataResponse(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 3, 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(*BROKER)),
        ("cluster_id", TEXT),
        ("controller", Int32),
        ("topics", CompactArray(*TOPIC)),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class MetadataRequestV10(RequestStruct):  # type: ignore[misc]
    API_KEY, API_VERSION, FLEXIBLE_VERSION = 3, 10, True
    RESPONSE_TYPE = MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", Uuid), ("name", TEXT), ("tags", TaggedFields))),
        ("may_create_topics", Boolean),
        ("with_cluster_operations", Boolean),
        ("with_topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class MetadataRequest(Request[MetadataRequestV10]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[MetadataRequestV10]) -> MetadataRequestV10:
        return request_struct_class([(NO_ID, self._topic, {})], False, False, False, {})


@dataclass(frozen=True, slots=True)
class Leader:
    """Names the broker that leads a partition, and the epoch in which it does."""

    node: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Topic:
    """Describes a topic as Kafka does."""

    id: UUID
    leaders: Mapping[int, Leader]  # by partition, those that have one
    partitions: int


async def fetch_topic(client: AIOKafkaClient, topic: str) -> Topic | None:
    """Returns what a broker knows of the topic. None: the broker is older than topic ids.

    Raises KafkaError, also for a topic that does not exist.
    """
    response = await send_request(client, client.get_random_node(), MetadataRequest(topic))
    if response is None:
        return None
    [(error, _name, found, _internal, partitions, *_)] = response.topics
    if error:
        raise for_code(error)(topic)
    if found == NO_ID:
        return None
    leaders = {partition: Leader(node, epoch) for _error, partition, node, epoch, *_ in partitions if node >= 0}
    return Topic(found, leaders, len(partitions))


async def fetch_topic_id(client: AIOKafkaClient, topic: str) -> UUID | None:
    """Returns the id of a topic. None: the broker is older than topic ids.

    Raises KafkaError, also for a topic that does not exist.
    """
    found = await fetch_topic(client, topic)
    return found.id if found else None
