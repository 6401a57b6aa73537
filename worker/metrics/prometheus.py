"""Defines a worker's metrics, for Prometheus. No label names a user or course, because their number has no bound."""

import time
from collections import Counter as Counts
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiokafka import TopicPartition
from prometheus_client import Counter, Gauge, Histogram

from events.kinds import Kind
from worker.metrics.disagreeing_totals import DisagreeingTotals
from worker.metrics.throughput import Throughput
from worker.stream.outcome import EARLIEST_STAMP, UNKNOWN_TYPE, Occurrence, Outcome, Record, Rejected

EVENTS = Counter(
    "progress_events", "Records taken from Kafka and settled, by event type and outcome", ["type", "outcome"]
)
EVENTS.labels("", UNKNOWN_TYPE)  # at 0 from the start, or an alert on the rate misses the first
CLAMPED = Counter(
    "progress_clamped_events", "Events more than five minutes ahead of their record: set to about its time"
)
DEAD_LETTERS = Counter("progress_dead_letters", "Records written to the dead letter topic, by kind of reason", ["kind"])
for _kind in Kind:
    DEAD_LETTERS.labels(_kind)  # at 0 from the start, or an alert on the rate misses the first
BREAKER_OPEN = Gauge("progress_breaker_open", "1 when too many records were rejected: nothing is taken until a restart")
BATCH_SIZE = Histogram("progress_batch_records", "Records per batch", buckets=[1, 10, 50, 100, 500, 1000, 2000, 5000])
STAGE_SECONDS = Histogram("progress_stage_seconds", "Seconds per batch: decode, dead_letters, fold, store", ["stage"])
VISIBLE_SECONDS = Histogram(
    "progress_event_visible_seconds",
    "From a record's timestamp to its commit in PostgreSQL, the slowest of each batch",
    buckets=[0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600],
)
RETRIES = Counter("progress_retries", "Batches repeated, by what was unavailable", ["error"])
MISSING = Counter("progress_events_missing", "Records that Kafka deleted before any worker had read them: lost")
COMMITS_LOST = Counter("progress_commits_lost", "Offsets that PostgreSQL had stored and lost; applied again")
LOG_WENT_BACK = Counter("progress_log_went_back", "Offsets read again because their log went back: it lost records")
OFFSETS_MOVED = Counter(
    "progress_offsets_moved_elsewhere",
    "Partitions of a batch whose stored offset another worker had moved, or this one without hearing of it",
)
RECOUNTED = Counter("progress_recounted_rows", "Progress rows recounted after a version of their course was published")
RECOUNTS = Gauge(
    "progress_recounts", "Courses whose rows are not all recounted for the newest version; the largest of all workers"
)
TOTAL_DISAGREES = Counter(
    "progress_total_disagrees",
    "Progress rows of batches whose events said another total than the newest version of the course needs",
)
REBALANCES = Counter("progress_rebalances", "Times this worker was given partitions")
COMMIT_FAILURES = Counter("progress_offset_commit_failures", "Failed offset commits to Kafka; PostgreSQL has the truth")
PARTITIONS = Gauge("progress_partitions", "Partitions this worker owns", ["group", "topic"])
WORKERS_NEEDED = Gauge(
    "progress_workers_needed",
    "Workers that the partitions of this one take at their load; the sum over all workers is how many should run",
    ["group"],
)
LAG_EVENTS = Gauge(
    "progress_lag_events",
    "Offsets between what is applied and the end of the log, of each partition owned",
    ["group", "topic", "partition"],
)
LAG_SECONDS = Gauge(
    "progress_lag_seconds",
    "Age of the oldest record known not to be applied: by its timestamp once it is fetched, before that since the log "
    "was first seen to reach beyond what is applied; 0 when nothing waits",
    ["group", "topic", "partition"],
)
ANNOUNCED = Counter("progress_transitions", "Course events put into the outbox: of transitions, and of recovered rows")
RELAYED = Counter("progress_outbox_published", "Outbox rows published to course-events and deleted")
RELAY_FAILURES = Counter("progress_outbox_failures", "Rounds of the relay that failed and are repeated")
OUTBOX_ROWS = Gauge(
    "progress_outbox_rows",
    "Outbox rows that wait, counted up to 100000: of the partitions this worker relays (mine), and of all (all)",
    ["whose"],
)
OUTBOX_SECONDS = Gauge(
    "progress_outbox_oldest_seconds", "How long the oldest of these rows has waited; 0 without one", ["whose"]
)

# Beside Prometheus's, for the worker's row in worker_status.
THROUGHPUT = Throughput()
DISAGREEING_TOTALS = DisagreeingTotals()


def count_batch(lane: str, entries: list[tuple[Record, Outcome]], announced: int, batch_size: int) -> None:
    """Counts a settled batch: each record once, and how long its oldest one was on the way.

    `batch_size` is the most records that a batch may have.
    """
    THROUGHPUT.note_settled(lane, entries, time.monotonic(), time.time(), batch_size)
    ANNOUNCED.inc(announced)
    for (type_name, outcome), number in Counts(_labels(outcome) for _, outcome in entries).items():
        EVENTS.labels(type_name, outcome).inc(number)
    CLAMPED.inc(sum(isinstance(outcome, Occurrence) and outcome.clamped for _, outcome in entries))
    if entries:
        BATCH_SIZE.observe(len(entries))
    if timestamps := [record.timestamp for record, _ in entries if record.timestamp >= EARLIEST_STAMP]:
        VISIBLE_SECONDS.observe(max(0, time.time() - min(timestamps) / 1000))


def _labels(outcome: Outcome) -> tuple[str, str]:
    if isinstance(outcome, Occurrence):
        return type(outcome.event).__name__, "applied"
    return "", "rejected" if isinstance(outcome, Rejected) else outcome.reason


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Measures one stage of one batch."""
    started = time.monotonic()
    THROUGHPUT.note_begin(started)
    try:
        yield
    finally:
        ended = time.monotonic()
        THROUGHPUT.note_end(ended)
        STAGE_SECONDS.labels(name).observe(ended - started)


def report_lag(group: str, topic: str, lag: Mapping[TopicPartition, tuple[int, float]]) -> None:
    """Shows these partitions of the stream and no others, because a partition that went away has a new owner."""
    for gauge in (LAG_EVENTS, LAG_SECONDS):
        gauge.remove_by_labels({"group": group, "topic": topic})
    for tp, (events, seconds) in lag.items():
        LAG_EVENTS.labels(group, topic, str(tp.partition)).set(events)
        LAG_SECONDS.labels(group, topic, str(tp.partition)).set(seconds)


def report_outbox(whose: str, rows: int, oldest_s: float) -> None:
    """Publishes one measurement of the outbox; the age goes on growing until the next one, which may be late."""
    OUTBOX_ROWS.labels(whose).set(rows)
    since = time.monotonic() - oldest_s
    OUTBOX_SECONDS.labels(whose).set_function(lambda: time.monotonic() - since if rows else 0)
