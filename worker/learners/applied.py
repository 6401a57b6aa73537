"""Waits until workers have applied what Kafka has: they store how far they are in the transaction of the rows."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from events.publisher import Receipt
from worker.errors import DatabaseUnavailable
from worker.kafka.log_ends import fetch_log_ends
from worker.learners.current_topic import CurrentTopic
from worker.learners.reads import ProgressReader
from worker.settings import Settings

POLL_OFFSET_EVERY_S = 0.005
SLOWEST_POLL_S = 0.1
CATCH_UP_WITHIN_S = 5.0


class AppliedOffsets:
    """Compares stored offsets with places in lesson-events. `client` is any client of that Kafka."""

    def __init__(self, settings: Settings, reads: ProgressReader) -> None:
        self._settings = settings
        self._reads = reads
        self._topic = CurrentTopic(settings.lesson_events_topic)

    async def wait_for(self, receipts: Sequence[Receipt], client: AIOKafkaClient | None) -> bool:
        """Tells whether the stored offsets passed the events within the deadline.

        Returns False also when the database goes away meanwhile. The events count all the same, because Kafka has them.
        """
        last = {(receipt.topic, receipt.partition): receipt.offset for receipt in sorted(receipts, key=_offset_of)}
        try:
            async with asyncio.timeout(self._settings.apply_deadline_s):
                for (topic, partition), offset in last.items():
                    place = (topic, partition, offset)
                    await _poll(partial(self._has_passed, "learners/offset_passed", *place, client=client))
        except (TimeoutError, DatabaseUnavailable):
            return False
        return True

    async def catch_up(self, client: AIOKafkaClient) -> bool:
        """Waits until all that Kafka has now is applied, in every partition: producers may spread a learner's events.

        Returns False where that takes longer than CATCH_UP_WITHIN_S or the deadline, or where a server does not say.
        """
        topic = self._settings.lesson_events_topic
        try:
            async with asyncio.timeout(min(CATCH_UP_WITHIN_S, self._settings.apply_deadline_s)):
                ends = await fetch_log_ends(client, topic)
                if ends is None:
                    return False
                places = (topic, list(ends), list(ends.values()))
                await _poll(partial(self._has_passed, "learners/offsets_passed", *places, client=client))
        except (TimeoutError, KafkaError, DatabaseUnavailable):
            return False
        return True

    async def _has_passed(self, question: str, *place: object, client: AIOKafkaClient | None) -> bool:
        topic_id = await self._topic.read_id(client)
        [row] = await self._reads.fetch(question, self._settings.consumer_group, *place, topic_id)
        return bool(row["passed"])


async def _poll(is_so: Callable[[], Awaitable[bool]]) -> None:
    poll_s = POLL_OFFSET_EVERY_S
    while not await is_so():
        await asyncio.sleep(poll_s)
        poll_s = min(SLOWEST_POLL_S, poll_s * 1.3)


def _offset_of(receipt: Receipt) -> int:
    return receipt.offset
