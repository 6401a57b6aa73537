"""Counts the records of a topic, and those that a consumer group has committed."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from worker.kafka.client import client_arguments
from worker.kafka.topics import admin_client
from worker.settings import Settings


async def end(settings: Settings, topic: str) -> int:
    """Counts the records of the topic."""
    async with AIOKafkaConsumer(topic, **client_arguments(settings)) as consumer:
        partitions = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic)]
        return sum((await consumer.end_offsets(partitions)).values())


async def committed(settings: Settings, topic: str) -> int:
    """Counts the records of the topic before the group's committed offsets."""
    async with admin_client(settings) as admin:
        offsets = await admin.list_consumer_group_offsets(settings.consumer_group)
    return sum(max(0, offset.offset) for tp, offset in offsets.items() if tp.topic == topic)
