"""Closes a Kafka consumer, also while Kafka is away."""

import asyncio

from aiokafka import AIOKafkaConsumer

ANSWER_TIMEOUT_S = 5


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leaves the group and closes the connections; waits at most ANSWER_TIMEOUT_S for Kafka."""
    stopping = asyncio.create_task(consumer.stop(), name="consumer stops")
    await asyncio.wait({stopping}, timeout=ANSWER_TIMEOUT_S)
    if stopping.done() and not stopping.cancelled():
        stopping.result()
        return
    # While Kafka is away aiokafka waits for it before it closes, or fails on a fetch that it cancelled itself.
    stopping.cancel()
    await asyncio.wait({stopping})
    await consumer._client.close()
