"""Fetches dead letters in portions, because the API's process answers learners between two of them."""

import asyncio
from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, TopicPartition

from worker.kafka.inflation import limit_inflation
from worker.stream.outcome import Record

LARGEST_FETCH = 4 * 1024 * 1024  # bytes, as stored, of one answer of a broker
MOST_RECORDS = 200
MOST_AT_ONCE = 1024 * 1024  # bytes, inflated, after which no further batch is begun
LARGEST_BATCH = 4 * 1024 * 1024  # bytes, inflated; a worker's letters have half of it at most


async def fetch_some(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], timeout_ms: int
) -> dict[TopicPartition, list[Record]]:
    """Fetches some records of these partitions, so few that they are inflated and read within 50 ms.

    A larger batch is one CutRecord. Raises KafkaError.
    """
    await asyncio.sleep(0)  # aiokafka does not wait where it has records at hand
    with limit_inflation(MOST_AT_ONCE, LARGEST_BATCH):
        fetched: dict[TopicPartition, list[Record]] = await consumer.getmany(
            *partitions, timeout_ms=timeout_ms, max_records=MOST_RECORDS
        )
    return fetched
