"""Says what a worker waits for, of all its streams."""

from collections.abc import Sequence

from worker.intake.intake import Intake


def find_wait(intakes: Sequence[Intake], lesson_events_topic: str) -> str | None:
    """Returns why a stream of a worker stands still; None while none is known to.

    Lesson events come first. The reason of another stream begins with its topic, because lesson events go on.
    """
    reasons = {intake.stream.topic: reason for intake in intakes if (reason := intake.waiting_for)}
    if lesson_events_topic in reasons:
        return reasons[lesson_events_topic]
    return next((f"{topic}: {reason}" for topic, reason in reasons.items()), None)
