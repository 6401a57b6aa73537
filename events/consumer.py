"""Closes a Kafka consumer, also while Kafka is away."""

import asyncio

from aiokafka import AIOKafkaConsumer

ANSWER_TIMEOUT_S = 5


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leaves the group and closes the connections, also while Kafka is away."""
    stopping = asyncio.create_task(consumer.stop(), name="consumer stops")
    await asyncio.wait({stopping}, timeout=ANSWER_TIMEOUT_S)
    if stopping.done() and not stopping.cancelled():
        stopping.result()
        return
    # While Kafka is away aiokafka waits for it, or trips over a fetch that it cancelled itself, before it closes.
    stopping.cancel()
    await asyncio.wait({stopping})
    await consumer._client.close()
