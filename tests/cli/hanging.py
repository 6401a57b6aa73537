"""Runs a worker process whose stop never ends.

python -m tests.cli.hanging SECONDS [crash]  # SECONDS that a stop may take; `crash`: it stops by itself
"""

import asyncio
import sys

from worker.agents import AgentApp
from worker.cli import worker
from worker.settings import Settings


class Hanging(AgentApp):
    async def on_started(self) -> None:
        await super().on_started()
        print("started", flush=True)
        if "crash" in sys.argv:
            worker.ONE_SIGNAL_S = 0
            await self.crash(RuntimeError("by itself"))

    async def on_stop(self) -> None:
        print("stopping", flush=True)
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
