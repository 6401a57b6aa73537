"""Says what a worker waits for, of all its streams."""

from collections.abc import Sequence

from worker.intake.intake import Intake


def find_wait(intakes: Sequence[Intake]) -> str | None:
    """Returns why a stream of a process stands still; None while none is known to.

    The first stream, lesson events for a worker, comes first. The reason of another begins with its group and topic,
    because the first goes on.
    """
    first, *others = intakes
    if first.waiting_for:
        return first.waiting_for
    return next((f"{other.stream.name}: {reason}" for other in others if (reason := other.waiting_for)), None)
