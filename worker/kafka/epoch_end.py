"""Asks a partition's leader where a leader epoch ends in its log (KIP-320). aiokafka has no such request.

A log that went back, because a leader without the last records was elected or a broker's disk was restored, has another
leader epoch from the place where it differs.
"""

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import LeaderNotAvailableError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, Int16, Int32, Int64, Schema, TaggedFields

from worker.kafka.requests import TEXT, send_request

ANY_EPOCH = -1  # of the leader itself: it need not be the one that the caller knows
CONSUMER = -1  # as the replica that asks


class OffsetForLeaderEpochResponse(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 23, 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader_epoch", Int32),
                        ("end_offset", Int64),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class OffsetForLeaderEpochRequestV4(RequestStruct):  # type: ignore[misc]
    API_KEY, API_VERSION, FLEXIBLE_VERSION = 23, 4, True
    RESPONSE_TYPE = OffsetForLeaderEpochResponse
    SCHEMA = Schema(
        ("replica", Int32),
        (
            "topics",
            CompactArray(
                ("topic", TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("current_leader_epoch", Int32),
                        ("leader_epoch", Int32),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class OffsetForLeaderEpochRequest(Request[OffsetForLeaderEpochRequestV4]):  # type: ignore[misc]
    API_KEY = 23

    def __init__(self, tp: TopicPartition, epoch: int) -> None:
        self._tp = tp
        self._epoch = epoch

    def build(self, request_struct_class: type[OffsetForLeaderEpochRequestV4]) -> OffsetForLeaderEpochRequestV4:
        partition: tuple[object, ...] = (self._tp.partition, ANY_EPOCH, self._epoch, {})
        return request_struct_class(CONSUMER, [(self._tp.topic, [partition], {})], {})


async def fetch_epoch_end(client: AIOKafkaClient, leader: int, tp: TopicPartition, epoch: int) -> int | None:
    """Returns the offset after the last record of this leader epoch, or of one before it, in the log of the leader.

    None: the leader does not know. Raises KafkaError, also when the broker `leader` is not the leader any more, or when
    the client does not know it yet: it would go on to fetch from the leader before.
    """
    if client.cluster.leader_for_partition(tp) != leader:
        await client.force_metadata_update()
    if client.cluster.leader_for_partition(tp) != leader:
        raise LeaderNotAvailableError(str(tp))
    response = await send_request(client, leader, OffsetForLeaderEpochRequest(tp, epoch))
    if response is None:
        return None
    [(_topic, [(error, _partition, _epoch, end, _), *_rest], _tags)] = response.topics
    if error:
        raise for_code(error)(str(tp))
    return None if end < 0 else int(end)
