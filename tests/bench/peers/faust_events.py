"""A Faust agent, event by event, with a transaction each: works as Faust's user guide introduces agents.

One event at a time is the default. With a larger `concurrency=` Faust commits past events that are still being
processed (faust-streaming issue 606), so a user who must not lose events does not set it.

Faust's supervisor starts an agent that raises again; the event that it raised on is acknowledged all the same, with
`noack()` too (faust-streaming issues 189, 315 and 527).
"""

import faust

from tests.bench.peers.faust_app import faust_app, lesson_events, run
from tests.bench.peers.handler_error import FailOnce, fail_once
from tests.bench.peers.our_statement import of_faust
from tests.bench.peers.read_modify_write import ReadModifyWrite, prepared_pool
from worker.settings import Settings, settings


def create_app(settings: Settings, error: FailOnce) -> faust.App:
    app = faust_app(settings)

    @app.agent(lesson_events(app, settings))
    async def progress(stream: faust.StreamT) -> None:
        # One connection for all events: returning it after each would cost another round trip.
        async with await prepared_pool(settings) as pool, pool.acquire() as connection:
            handler = ReadModifyWrite("faust_events", connection)
            async for event in stream.events():
                error()
                await handler.apply(of_faust(event))

    return app


if __name__ == "__main__":
    run(create_app(settings(), fail_once(settings())))
