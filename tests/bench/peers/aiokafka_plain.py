"""A plain aiokafka consumer without a database's help: it takes batches, and Kafka keeps its offsets.

It has the session of Kafka's own consumer, 45 s, and aiokafka's defaults elsewhere: round robin, automatic commits each
5 s. What it does with an event costs next to nothing, because what is measured is who has which partition. It notes how
far it has come where a worker does, so that the harness looks at both alike.
"""

import asyncio
import signal
from contextlib import suppress

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from worker.kafka.client import client_arguments
from worker.settings import settings

SESSION_MS, HEARTBEAT_MS = 45_000, 3_000  # session.timeout.ms and heartbeat.interval.ms
NOTE = """
insert into consumed_offset (consumer_group, topic, partition, next_offset)
select $1, $2, * from unnest($3::integer[], $4::bigint[])
on conflict (consumer_group, topic, partition)
do update set next_offset = greatest(consumed_offset.next_offset, excluded.next_offset)
"""


async def main() -> None:
    consumer = AIOKafkaConsumer(
        settings().lesson_events_topic,
        **client_arguments(settings()),
        group_id=settings().consumer_group,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
    )
    connection = await asyncpg.connect(settings().database_url.get_secret_value())
    try:
        await consumer.start()
        while True:
            fetched = await consumer.getmany(timeout_ms=200)
            await note(connection, {tp: records[-1].offset + 1 for tp, records in fetched.items() if records})
    finally:
        await consumer.stop()
        await connection.close()


async def note(connection: asyncpg.Connection, offsets: dict[TopicPartition, int]) -> None:
    if offsets:
        names = (settings().consumer_group, settings().lesson_events_topic)
        await connection.execute(NOTE, *names, [tp.partition for tp in offsets], list(offsets.values()))


async def until_terminated() -> None:
    running = asyncio.ensure_future(main())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await running


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):  # SIGTERM
        asyncio.run(until_terminated())
