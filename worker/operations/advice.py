"""Advises how many workers should run. Pure."""

import math
from dataclasses import dataclass

HEADROOM = 0.7  # the planned share of a worker's capacity; the rest is for bursts and for a worker that restarts
CATCH_UP_S = 600


@dataclass(frozen=True, slots=True)
class Advice:
    """Says how many workers should run, as a number and as a sentence for an operator; None: not known."""

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
    """Computes how many workers keep up with the incoming events and clear the backlog within CATCH_UP_S.

    The number is at least one, and at most one per partition.

    `capacity_per_s` is what one worker can do, None when that was never measured. `stall_reason` is why all running
    workers stand still, None when they do not.
    """
    if stall_reason:
        return Advice(None, f"More workers would not help: {stall_reason}")
    if incoming_per_s is None or lag is None:
        return Advice(None, "It is not known how many events come in, or how many wait.")
    load = f"{incoming_per_s:,.0f} events/s come in and {lag:,} wait"
    if capacity_per_s is None:
        return Advice(
            max(1, running),
            f"{load}. A worker's capacity is not known before one has had a large batch: keep the workers that run."
            if running
            else f"{load}, and no worker runs.",
        )
    needed = (incoming_per_s + lag / CATCH_UP_S) / (capacity_per_s * HEADROOM)
    workers = min(max(1, math.ceil(needed)), max(1, partitions))
    sentence = (
        f"{load}; a worker does {capacity_per_s:,.0f}/s, of which {HEADROOM:.0%} are planned. "
        f"{_plural(workers)} {'is' if workers == 1 else 'are'} enough to keep up, and to clear the backlog in "
        f"{CATCH_UP_S // 60} minutes; {running or 'none'} {'runs' if running in (0, 1) else 'run'}."
    )
    if needed > partitions:
        sentence = (
            f"{load}; a worker does {capacity_per_s:,.0f}/s, of which {HEADROOM:.0%} are planned. That would take "
            f"{math.ceil(needed)} workers, but only {partitions} can share the topic, one per partition: "
            "add partitions, or accept that it takes longer."
        )
    return Advice(workers, sentence)


def _plural(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"
