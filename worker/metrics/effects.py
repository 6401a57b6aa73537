"""Defines the metrics of `course-progress effects`, for Prometheus."""

from prometheus_client import Counter, Gauge

PERFORMED = Counter("progress_effects_performed", "Effects performed, by kind", ["kind"])
POSTPONED = Counter("progress_effects_postponed", "Attempts that left the effect for later, by kind", ["kind"])
WAITING = Gauge("progress_effects_waiting", "Effects that have failed and wait, by kind", ["kind"])


def count(kind: str, done: bool) -> None:
    """Counts an attempt."""
    (PERFORMED if done else POSTPONED).labels(kind).inc()
