"""Quix Streams with a batching sink of one's own, and our statement: applies a checkpoint per partition.

It follows its documentation ("Creating a Custom Sink"): a subclass of BatchingSink, whose `write` gets one partition's
records of a checkpoint, and `commit_every` for the number of records per checkpoint. Our driver is asynchronous and
Quix is not: the sink runs the driver on its own event loop.

A sink that raises ends the application before the checkpoint is committed. Started again, it continues from the last
one.
"""

import asyncio

from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch

from tests.bench.peers.handler_error import FailOnce, fail_once
from tests.bench.peers.our_statement import OurStatement, Received
from worker.settings import Settings, settings

CHECKPOINT = 2000  # with 8,000 and 24,000 it is half as fast


class OurSink(BatchingSink):
    def __init__(self, settings: Settings, error: FailOnce, runner: asyncio.Runner) -> None:
        super().__init__()
        self._statement = OurStatement(settings)
        self._error = error
        self._runner = runner

    def write(self, batch: SinkBatch) -> None:
        self._error(batch.size)
        records = [
            Received(batch.topic, batch.partition, i.offset, i.timestamp, i.headers or (), i.value) for i in batch
        ]
        self._runner.run(self._statement.apply(records))


def main(settings: Settings, error: FailOnce) -> None:
    app = Application(
        broker_address=settings.kafka_bootstrap_servers,
        consumer_group=settings.consumer_group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        commit_every=CHECKPOINT,
        loglevel="WARNING",
    )
    topic = app.topic(settings.lesson_events_topic, key_deserializer="bytes", value_deserializer="bytes")
    with asyncio.Runner() as runner:
        app.dataframe(topic).sink(OurSink(settings, error, runner))
        app.run()


if __name__ == "__main__":
    main(settings(), fail_once(settings()))
