"""A plain aiokafka loop, event by event: applies each event in a transaction of its own.

It is the loop of aiokafka's own documentation ("Getting started", Consumer): `async for`, and `consumer.stop()` in a
`finally`, which commits, because auto-commit is the default. For the same reason an event whose handler raises is gone:
its offset counts as consumed when the loop receives it.
"""

import asyncio
import signal
from contextlib import suppress

from aiokafka import AIOKafkaConsumer

from tests.bench.peers.handler_error import FailOnce, fail_once
from tests.bench.peers.read_modify_write import ReadModifyWrite, prepared_pool
from worker.kafka.client import client_arguments
from worker.settings import settings


async def main(error: FailOnce) -> None:
    consumer = AIOKafkaConsumer(
        settings().lesson_events_topic,
        **client_arguments(settings()),
        group_id=settings().consumer_group,
        auto_offset_reset="earliest",
    )
    async with await prepared_pool(settings()) as pool, pool.acquire() as connection:
        handler = ReadModifyWrite("aiokafka_events", connection)
        await consumer.start()
        try:
            async for record in consumer:
                error()
                await handler.apply(record)
        finally:
            await consumer.stop()


async def until_terminated(error: FailOnce) -> None:
    running = asyncio.ensure_future(main(error))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await running


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):  # SIGTERM
        asyncio.run(until_terminated(fail_once(settings())))
