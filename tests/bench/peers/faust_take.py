"""A Faust agent with `take_events`, and our statement: batches in Faust's own way ("take", Streams in its user guide).

A batch ends after a thousand events or a tenth of a second, so that a quiet stream does not wait.

The events of a batch are acknowledged in a `finally`, also when the agent raised on them
(`faust.Stream.take_events`; faust-streaming issues 315 and 527). Some that were behind them in the agent's queue are
gone as well: runs lost up to 44 events more than the batch.
"""

import faust

from tests.bench.peers.faust_app import faust_app, lesson_events, run
from tests.bench.peers.handler_error import FailOnce, fail_once
from tests.bench.peers.our_statement import OurStatement, of_faust
from worker.settings import Settings, settings


def create_app(settings: Settings, error: FailOnce) -> faust.App:
    app = faust_app(settings)
    statement = OurStatement(settings)

    @app.agent(lesson_events(app, settings))
    async def progress(stream: faust.Stream) -> None:
        async for events in stream.take_events(1000, within=0.1):
            error(len(events))
            await statement.apply([of_faust(event) for event in events])

    return app


if __name__ == "__main__":
    run(create_app(settings(), fail_once(settings())))
