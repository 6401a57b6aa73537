"""Finds the courses that websites wrote to lately, over HTTP or by ProgressService, among the newest lesson events."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from events.consumer import close_consumer
from worker.deadletters.fetch import LARGEST_FETCH, fetch_some
from worker.decode import decode
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain_consumer_error
from worker.kafka.topics import fetch_partitions
from worker.learners.service import SOURCE
from worker.settings import Settings
from worker.stream.outcome import Occurrence, Record

LATELY = timedelta(days=7)
MOST_RECORDS = 10_000  # of each partition, the newest
READ_FOR_S = 20.0
FETCH_WAIT_MS = 200


async def find_written_courses(settings: Settings) -> Counter[UUID]:
    """Counts the newest events of ProgressService by course, up to LATELY old, MOST_RECORDS of a partition.

    It reads for READ_FOR_S at most. Raises KafkaUnavailable, or SetupError where these credentials may not read.
    """
    partitions = [
        TopicPartition(settings.lesson_events_topic, number)
        for number in await fetch_partitions(settings, settings.lesson_events_topic)
    ]
    consumer = AIOKafkaConsumer(
        **client_arguments(settings),
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_bytes=LARGEST_FETCH,
    )
    try:
        await consumer.start()
        consumer.assign(partitions)
        return await _count(consumer, await _seek(consumer, partitions))
    except (KafkaError, TimeoutError) as error:
        raise explain_consumer_error(error, settings) from error
    finally:
        await close_consumer(consumer)


async def _seek(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Seeks to where reading begins, and returns where it ends."""
    since = int((datetime.now(UTC) - LATELY).timestamp() * 1000)
    first = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
    end: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    for partition, found in first.items():
        begin = end[partition] if found is None else found.offset
        consumer.seek(partition, max(begin, end[partition] - MOST_RECORDS))
    return end


async def _count(consumer: AIOKafkaConsumer, end: dict[TopicPartition, int]) -> Counter[UUID]:
    counted: Counter[UUID] = Counter()
    until = time.monotonic() + READ_FOR_S
    while time.monotonic() < until:
        unread = [partition for partition in end if await consumer.position(partition) < end[partition]]
        if not unread:
            break
        for records in (await fetch_some(consumer, unread, FETCH_WAIT_MS)).values():
            counted.update(course for record in records if (course := find_course(record)))
    return counted


def find_course(record: Record) -> UUID | None:
    """Returns the course of an event of ProgressService; None for any other record."""
    if ("ce_source", SOURCE.encode()) not in record.headers:
        return None
    outcome = decode(record)
    return outcome.event.course_id if isinstance(outcome, Occurrence) else None
