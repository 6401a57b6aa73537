"""Holds Faust's part of a worker.

Faust gives the app, its services with their start and stop, the agents with their concurrency, and the command line
`faust -A worker.app`. It never touches Kafka: its consumer acknowledges what failed (docs/decisions/0001), so it is
off, and an intake takes the records. The stored offset in PostgreSQL says what is done.

There is one agent per stream. It takes batches from a channel in memory, not from a topic.
"""

import asyncio
import tempfile
from collections.abc import Callable

import faust
from faust.app import BootStrategy
from faust.types import AgentT, StreamT

from worker.deadletters.writer import DeadLetterWriter
from worker.errors import AgentGone
from worker.logs import logging_config
from worker.metrics import prometheus as metrics
from worker.settings import Settings
from worker.stream.sink import Applied, Handover, OffsetsMoved


class WithoutKafka(BootStrategy):
    """Starts a Faust app without its producer and consumer."""

    enable_kafka = False


class AgentApp(faust.App):
    """Runs agents, which take the handovers of intakes, in a Faust app."""

    BootStrategy = WithoutKafka

    def __init__(self, name: str, settings: Settings) -> None:
        super().__init__(
            name,
            broker=f"kafka://{settings.kafka_bootstrap_servers}",
            autodiscover=False,
            datadir=tempfile.gettempdir(),
            logging_config=logging_config(settings),
            web_enabled=True,
            worker_redirect_stdouts=False,
        )

    async def start(self) -> None:
        try:
            await super().start()
        except Exception as error:
            self.crash_reason = error  # mode keeps only the reason of a later failure
            raise

    async def on_start(self) -> None:
        await super().on_start()
        # Channels in memory deliver nothing before this, and Faust's consumer, which would do it, is off.
        self.flow_control.resume()


class Handovers(faust.Channel[Handover]):
    """Carries handovers from an intake to its agent."""

    def get_topic_name(self) -> str:
        """Names the channel, because `faust agents` lists only agents whose channel has a topic's name."""
        return "(batches)"

    async def hand_over(self, handover: Handover) -> None:
        """Puts a handover into the channel, which drops it if no agent listens; Faust subscribes agents first."""
        await self.put(handover)  # type: ignore[arg-type]


def add_agent(
    app: faust.App,
    name: str,
    handovers: Handovers,
    dead_letters: DeadLetterWriter,
    *,
    lanes: int,
    description: str,
    on_announced: Callable[[], None] = lambda: None,
) -> AgentT[Handover]:
    """Adds the agent of one stream: it applies each handover, up to one per lane at a time.

    `on_announced` is called when a batch has put something into the outbox.
    """

    async def agent(stream: StreamT[Handover]) -> None:
        async for handover in stream:
            if await apply_handover(handover, dead_letters):
                on_announced()

    agent.__doc__ = description
    return app.agent(handovers, name=name, concurrency=lanes)(agent)


async def apply_handover(handover: Handover, dead_letters: DeadLetterWriter) -> bool:
    """Writes the batch's dead letters, then applies it; gives the result, or the error, to the lane.

    Returns whether it put something into the outbox. Raises only when it is cancelled, because Faust loses the item
    of an agent that raises.
    """
    try:
        result = await _apply(handover, dead_letters)
    except Exception as error:  # noqa: BLE001 -- the lane's Settler decides what it means
        handover.resolve(error)
        return False
    except asyncio.CancelledError:  # Faust starts the agent again, and this handover is lost with the old one
        handover.resolve(AgentGone("the agent was cancelled"))
        raise
    handover.resolve(result)
    return isinstance(result, Applied) and result.announced > 0


async def _apply(handover: Handover, dead_letters: DeadLetterWriter) -> Applied | OffsetsMoved:
    batch = handover.batch
    if not batch.dead_letters_written:
        with metrics.stage("dead_letters"):
            await dead_letters.write(batch.rejected)
        batch.dead_letters_written = True
    return await handover.sink.apply_batch(batch)
