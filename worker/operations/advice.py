"""How many workers there should be. Pure."""

import math
from dataclasses import dataclass

HEADROOM = 0.7  # the share of what a worker can do that is planned with: for bursts, and for one that is restarted
CATCH_UP_S = 600


@dataclass(frozen=True, slots=True)
class Advice:
    """How many workers, as a number and as a sentence for a person; None: nothing can be said at present."""

    workers: int | None
    sentence: str


def advise(
    *,
    partitions: int,
    running: int,
    incoming_per_s: float | None,
    capacity_per_s: float | None,
    lag: int | None,
    stall_reason: str | None = None,
) -> Advice:
    """For the events that come in, and to work off those that wait within CATCH_UP_S: at least one worker, at most one
    per partition.

    `capacity_per_s` is what one worker can do, None when that was never measured. `stall_reason` is why all running
    workers stand still, None when they do not.
    """
    if stall_reason:
        return Advice(None, f"More workers would not help: {stall_reason}")
    if incoming_per_s is None or lag is None:
        return Advice(None, "How many events come in, or wait, is not known at present.")
    load = f"{incoming_per_s:,.0f} events/s come in and {lag:,} wait"
    if capacity_per_s is None:
        return Advice(
            max(1, running),
            f"{load}. What a worker can do is not known before one has had a large batch: keep those that run."
            if running
            else f"{load}, and no worker runs.",
        )
    needed = (incoming_per_s + lag / CATCH_UP_S) / (capacity_per_s * HEADROOM)
    workers = min(max(1, math.ceil(needed)), max(1, partitions))
    sentence = (
        f"{load}; a worker does {capacity_per_s:,.0f}/s, planned with at {HEADROOM:.0%}. "
        f"{_workers(workers)} {'is' if workers == 1 else 'are'} enough to keep up, and to work off what waits in "
        f"{CATCH_UP_S // 60} minutes; {running or 'none'} {'runs' if running in (0, 1) else 'run'}."
    )
    if needed > partitions:
        sentence = (
            f"{load}; a worker does {capacity_per_s:,.0f}/s, planned with at {HEADROOM:.0%}. That would take "
            f"{math.ceil(needed)} workers, but only {partitions}, one per partition, can share the topic: "
            "it takes longer, or more partitions."
        )
    return Advice(workers, sentence)


def _workers(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"
