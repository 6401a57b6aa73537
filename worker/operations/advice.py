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
    running: int = 0
    needed: float | None = None  # before it is rounded, and beyond what the partitions allow; None: not known

    @property
    def too_few(self) -> bool:
        """Tells whether more workers should run than do."""
        return self.workers is not None and self.workers > self.running


def count_needed(incoming_per_s: float, lag: int, capacity_per_s: float) -> float:
    """Computes how many workers keep up with the incoming events and clear the backlog within CATCH_UP_S."""
    return (incoming_per_s + lag / CATCH_UP_S) / (capacity_per_s * HEADROOM)


def bound_capacity(events_per_s: float, busy: float) -> float | None:
    """Returns what a worker does at least if it worked all the time; None where it did not work.

    It does more: under load its batches are larger, and an event then takes less time.
    """
    return events_per_s / busy if events_per_s and busy else None


def advise(
    *,
    partitions: int,
    running: int,
    incoming_per_s: float | None,
    capacity_per_s: float | None,
    lag: int | None,
    stall_reason: str | None = None,
    capacity_at_least_per_s: float | None = None,
) -> Advice:
    """Advises as many workers as `count_needed` computes: at least one, and at most one per partition.

    `capacity_per_s` is what one worker can do, None when that was never measured; then `capacity_at_least_per_s`, by
    `bound_capacity`, may show that fewer are enough. `stall_reason` is why all running workers stand still, None when
    they do not.
    """
    if stall_reason:
        return Advice(None, f"More workers would not help: {stall_reason}", running)
    if incoming_per_s is None or lag is None:
        return Advice(None, "It is not known how many events come in, or how many wait.", running)
    load = f"{incoming_per_s:,.0f} events/s come in and {lag:,} wait"
    if capacity_per_s is None:
        return _advise_without_capacity(load, running, incoming_per_s, lag, capacity_at_least_per_s)
    needed = count_needed(incoming_per_s, lag, capacity_per_s)
    workers = min(max(1, math.ceil(needed)), max(1, partitions))
    planned = f"{load}; a worker does {capacity_per_s:,.0f}/s, of which {HEADROOM:.0%} are planned."
    if needed > partitions:
        sentence = (
            f"{planned} That would take {math.ceil(needed)} workers, but only {partitions} can share the topic, one "
            "per partition: add partitions, or accept that it takes longer."
        )
    else:
        sentence = f"{planned} {_describe(workers, running)}"
    return Advice(workers, sentence, running, needed)


def _advise_without_capacity(
    load: str, running: int, incoming_per_s: float, lag: int, at_least_per_s: float | None
) -> Advice:
    """Advises by what a worker does at least: it can show that fewer workers are enough, never that more are needed."""
    if not running:
        return Advice(1, f"{load}, and no worker runs.", running)
    needed = count_needed(incoming_per_s, lag, at_least_per_s) if at_least_per_s else math.inf
    if needed > running:
        unknown = "A worker's capacity is not known before one has had a large batch: keep the workers that run."
        return Advice(running, f"{load}. {unknown}", running)
    workers = max(1, math.ceil(needed))
    planned = f"{load}; a worker does {at_least_per_s:,.0f}/s at least, of which {HEADROOM:.0%} are planned."
    return Advice(workers, f"{planned} {_describe(workers, running)}", running, needed)


def _describe(workers: int, running: int) -> str:
    return (
        f"{_plural(workers)} {'is' if workers == 1 else 'are'} enough to keep up, and to clear the backlog in "
        f"{CATCH_UP_S // 60} minutes; {running or 'none'} {'runs' if running in (0, 1) else 'run'}."
    )


def _plural(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"
