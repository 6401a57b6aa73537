"""A FastStream batch subscriber on its aiokafka broker, and our statement: applies a batch per call of the handler.

It follows its documentation ("Batch Subscriber"), with two settings for speed: `max_records` as large as our own
batches, and a decoder that hands over the records unchanged ("Custom Decoder"), because `worker.decode` reads them.

The default acknowledgement is ACK_FIRST, Kafka's auto-commit: a batch counts as consumed when it is handed over, and
one whose handler raised does not come again (documentation, "Acknowledgment"; ag2ai/faststream issue 2618). With
`ack_policy=AckPolicy.NACK_ON_ERROR` it comes again, and nothing is gone, at the same speed.
"""

import asyncio

from faststream import FastStream
from faststream.kafka import KafkaBroker, KafkaMessage

from tests.bench.peers.handler_error import FailOnce, fail_once
from tests.bench.peers.our_statement import OurStatement
from worker.settings import settings
from worker.stream.outcome import Record

BATCH = 2000


async def as_received(message: KafkaMessage) -> tuple[Record, ...]:
    return message.raw_message


async def main(error: FailOnce) -> None:
    statement = OurStatement(settings())
    broker = KafkaBroker(settings().kafka_bootstrap_servers, apply_types=False)

    @broker.subscriber(
        settings().lesson_events_topic,
        group_id=settings().consumer_group,
        auto_offset_reset="earliest",
        batch=True,
        max_records=BATCH,
        decoder=as_received,
    )
    async def progress(records: tuple[Record, ...]) -> None:
        error(len(records))
        await statement.apply(records)

    await FastStream(broker, after_shutdown=[statement.close]).run()


if __name__ == "__main__":
    asyncio.run(main(fail_once(settings())))
