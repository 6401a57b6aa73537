"""The agent that consumes the batches. Faust supervises it; it settles each batch and lets no exception out."""

import asyncio
from collections.abc import Callable, Sequence

import faust
from faust.types import AgentT, ChannelT, StreamT

from worker.deadletters.writer import DeadLetterWriter
from worker.errors import AgentGone
from worker.metrics import prometheus as metrics
from worker.progress.fold import fold
from worker.progress.store import Store
from worker.stream.batch import Batch
from worker.stream.sink import Applied, OffsetsMoved


class Batches(faust.Channel[Batch]):
    """The channel between intake and agent. `faust agents` lists only agents whose channel has a topic's name."""

    def get_topic_name(self) -> str:
        return "(batches)"


def add_agents(
    app: faust.App,
    batches: ChannelT[Batch],
    stores: Sequence[Store],
    dead_letters: DeadLetterWriter,
    on_transitions: Callable[[], None],
) -> AgentT[Batch]:
    """Adds the agent `progress`: folds each batch of the channel and stores it, dead letters first; as many at once as
    there are stores.

    `on_transitions` is called when a batch has put something into the outbox.
    """

    @app.agent(batches, name="progress", concurrency=len(stores))
    async def progress(stream: StreamT[Batch]) -> None:
        """Folds batches of lesson events into course_progress."""
        async for batch in stream:
            if await settle(batch, stores[batch.lane], dead_letters):
                on_transitions()

    return progress


async def settle(batch: Batch, store: Store, dead_letters: DeadLetterWriter) -> bool:
    """Applies a batch and puts the outcome, or the error, into `batch.settled`. Raises only when it is cancelled.

    Returns whether it put something into the outbox.
    """
    try:
        outcome = await _apply(batch, store, dead_letters)
    except Exception as error:  # noqa: BLE001 -- the intake decides what it means; an agent that raises loses its item
        _fail(batch, error)
        return False
    except asyncio.CancelledError:  # faust starts the agent anew, but without this batch
        _fail(batch, AgentGone("the agent was cancelled"))
        raise
    if not batch.settled.done():
        batch.settled.set_result(outcome)
    return isinstance(outcome, Applied) and outcome.transitions > 0


def _fail(batch: Batch, error: Exception) -> None:
    if not batch.settled.done():  # the intake gives up waiting when it has to end
        batch.settled.set_exception(error)


async def _apply(batch: Batch, store: Store, dead_letters: DeadLetterWriter) -> Applied | OffsetsMoved:
    if not batch.dead_letters_written:
        with metrics.stage("dead_letters"):
            await dead_letters.write(batch.rejected)
        batch.dead_letters_written = True
    with metrics.stage("fold"):
        folded = fold(batch.occurrences)
    with metrics.stage("store"):
        return await store.apply(folded, batch.spans)
