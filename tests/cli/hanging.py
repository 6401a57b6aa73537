"""Runs a worker process whose stop never ends: `python -m tests.cli.hanging SECONDS`, which a stop may take."""

import asyncio
import sys

from worker.agents import AgentApp
from worker.cli import worker
from worker.settings import Settings


class Hanging(AgentApp):
    async def on_started(self) -> None:
        await super().on_started()
        print("started", flush=True)

    async def on_stop(self) -> None:
        await asyncio.Event().wait()


def main(stop_within_s: float) -> int:
    worker.STOP_WITHIN_S = stop_within_s
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    settings = Settings(log_format="json")
    app = Hanging("hanging", settings)
    app.conf.web_enabled = False
    return worker.run_app(app, settings, loop)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
