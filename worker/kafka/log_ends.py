"""Asks Kafka where a topic's logs end, over a client that has no consumer."""

import asyncio
from collections import defaultdict

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy

from worker.kafka.topic_id import fetch_topic

NO_REPLICA = -1
READ_COMMITTED = 1  # as consumers read: up to a transaction that is open


async def fetch_log_ends(client: AIOKafkaClient, topic: str) -> dict[int, int] | None:
    """Returns, for each partition of the topic, the offset after the last record that a consumer may read now.

    None: it is not known, because a partition has no leader or the brokers are older than 2.8. Raises KafkaError.
    """
    found = await fetch_topic(client, topic)
    if found is None or len(found.leaders) < found.partitions:
        return None
    by_leader: dict[int, list[int]] = defaultdict(list)
    for partition, leader in found.leaders.items():
        by_leader[leader.node].append(partition)
    asked = (_ask_leader(client, node, topic, partitions) for node, partitions in by_leader.items())
    return {partition: end for ends in await asyncio.gather(*asked) for partition, end in ends.items()}


async def _ask_leader(client: AIOKafkaClient, node: int, topic: str, partitions: list[int]) -> dict[int, int]:
    latest = [(partition, OffsetResetStrategy.LATEST) for partition in partitions]
    response = await client.send(node, OffsetRequest(NO_REPLICA, READ_COMMITTED, [(topic, latest)]))
    [(_topic, answers)] = response.topics
    ends = {}
    for partition, error, _timestamp, end in answers:
        if error:
            raise for_code(error)(topic)
        ends[partition] = end
    return ends
