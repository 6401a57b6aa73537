"""Builds the view of Operations: first whether the operator must act (diagnosis.py), then the figures. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from worker.deadletters.row import Row
from worker.operations.lag_history import Delay, Point
from worker.operations.snapshot import DisagreeingTotal, PartitionView, RecountStatus, Snapshot, WorkerView
from worker.web.pages.charts import Line, LineChart, build_line_chart, build_spark
from worker.web.pages.diagnosis import Finding, Level, diagnose, find_furthest, format_delay
from worker.web.pages.formatting import (
    MINUTE,
    UNKNOWN,
    format_ago,
    format_duration,
    format_number,
    format_ranges,
    format_rate,
    name_course,
    plural,
)

UNKNOWN_NOTE = "not known right now"


@dataclass(frozen=True, slots=True)
class Figure:
    """Answers one question by a value, and explains it by a note."""

    name: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class PartitionLine:
    """Shows a partition in its table."""

    view: PartitionView
    lag: str
    behind: str
    incoming: str
    applied: str
    spark: Line


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """Shows a worker in its table."""

    view: WorkerView
    state: str
    level: Level | None  # None: the worker is gone
    partitions: str
    busy: int | None  # percent
    rate: str
    capacity: str
    visible: str


@dataclass(frozen=True, slots=True)
class RecountLine:
    """Shows how far the recount of a course is."""

    id: UUID
    title: str
    version: int
    percent: int | None  # None: its rows are not counted yet
    rows: str
    when: str


@dataclass(frozen=True, slots=True)
class TotalLine:
    """Shows a course in which events say another total than its newest version needs."""

    id: UUID
    title: str
    total: int
    needed: int
    ago: str


@dataclass(frozen=True, slots=True)
class OperationsPage:
    """Holds what the page shows."""

    at: datetime
    level: Level
    findings: tuple[Finding, ...]  # the worst first; at least one
    first: tuple[Figure, ...]
    details: tuple[Figure, ...]
    advice: str
    lag_chart: LineChart
    rate_chart: LineChart
    partitions: tuple[PartitionLine, ...]
    workers: tuple[WorkerLine, ...]
    recounts: tuple[RecountLine, ...]
    totals: tuple[TotalLine, ...]
    kinds: tuple[tuple[str, int], ...]
    letters: tuple[Row, ...]


def build_operations_page(
    snapshot: Snapshot, history: Sequence[Point], delays: Mapping[int, Delay], now: datetime
) -> OperationsPage:
    known = delays if snapshot.lag is not None else {}  # else those are old
    found = sorted(diagnose(snapshot, known, now), key=lambda finding: -finding.level)
    kinds = snapshot.dead_letters.kinds if snapshot.dead_letters else {}
    return OperationsPage(
        at=snapshot.at,
        level=found[0].level,
        findings=tuple(found),
        first=(build_behind(snapshot, known), build_waiting(snapshot), build_running_workers(snapshot)),
        details=tuple(build_details(snapshot)),
        advice=snapshot.advice.sentence,
        lag_chart=build_lag_chart(history),
        rate_chart=build_rate_chart(history),
        partitions=build_partition_lines(snapshot, history, known),
        workers=tuple(
            build_worker_line(worker) for worker in sorted(snapshot.workers, key=lambda worker: not worker.running)
        ),
        recounts=tuple(build_recount_line(recount, now) for recount in snapshot.recounts),
        totals=tuple(build_total_line(found, now) for found in snapshot.disagreeing_totals),
        kinds=tuple(sorted(((str(kind), count) for kind, count in kinds.items()), key=lambda item: -item[1])),
        letters=snapshot.dead_letters.latest if snapshot.dead_letters else (),
    )


# The first answers


def build_behind(snapshot: Snapshot, delays: Mapping[int, Delay]) -> Figure:
    if not delays:
        return Figure("Behind", UNKNOWN, UNKNOWN_NOTE)
    worst = find_furthest(delays)
    delay = delays[worst]
    if not delay.seconds and not delay.longer:
        note = "the waiting events have just come in" if snapshot.lag else "every partition is up to date"
        return Figure("Behind", format_delay(delay), note)
    note = f"partition {worst}, read by {find_owner(snapshot, worst)}"
    return Figure(
        "Behind",
        format_delay(delay),
        note if delay.seconds < 2 * MINUTE else f"{format_duration(delay.seconds)}: {note}",
    )


def find_owner(snapshot: Snapshot, partition: int) -> str:
    return next((view.owner for view in snapshot.partitions if view.partition == partition and view.owner), "no worker")


def build_waiting(snapshot: Snapshot) -> Figure:
    if snapshot.lag is None:
        return Figure("Waiting events", UNKNOWN, UNKNOWN_NOTE)
    note = f"{format_rate(snapshot.incoming_per_s)}/s come in, {format_rate(snapshot.applied_per_s)}/s are applied"
    return Figure("Waiting events", format_number(snapshot.lag), note)


def build_running_workers(snapshot: Snapshot) -> Figure:
    if {"group", "statuses"} <= snapshot.missing.keys():
        return Figure("Workers", UNKNOWN, UNKNOWN_NOTE)
    running = sum(worker.running for worker in snapshot.workers)
    read = sum(view.owner is not None for view in snapshot.partitions)
    return Figure(
        "Running workers", format_number(running), f"read {read} of {plural(len(snapshot.partitions), 'partition')}"
    )


def build_details(snapshot: Snapshot) -> Iterator[Figure]:
    outbox, letters = snapshot.outbox, snapshot.dead_letters
    yield Figure(
        "Half are visible within", format_latency(snapshot.visible_p50_s), "from Kafka to the row, last minute"
    )
    yield Figure(
        "99 % are visible within", format_latency(snapshot.visible_p99_s), "from Kafka to the row, last minute"
    )
    yield Figure(
        "Outbox",
        format_number(outbox.rows if outbox else None),
        f"the oldest has waited {format_duration(outbox.oldest_s)}"
        if outbox and outbox.rows
        else "course events to publish",
    )
    yield Figure(
        "Dead letters", format_number(sum(letters.kinds.values()) if letters else None), "open, among the newest"
    )


# The details


def build_lag_chart(history: Sequence[Point]) -> LineChart:
    totals = [float(sum(point.lag.values())) for point in history]
    return build_line_chart("Waiting events", list_times(history), [("Lag", "area", totals)])


def build_rate_chart(history: Sequence[Point]) -> LineChart:
    incoming = [point.incoming_per_s for point in history]
    applied = [point.applied_per_s for point in history]
    series = [("Applied", "area", applied), ("Incoming", "dashed", incoming)]
    return build_line_chart("Events per second", list_times(history), series)


def list_times(history: Sequence[Point]) -> list[datetime]:
    return [point.at for point in history]


def build_partition_lines(
    snapshot: Snapshot, history: Sequence[Point], delays: Mapping[int, Delay]
) -> tuple[PartitionLine, ...]:
    highest = max((lag for point in history for lag in point.lag.values()), default=0)
    at = list_times(history)
    return tuple(
        PartitionLine(
            view,
            format_number(view.lag),
            format_delay(delays.get(view.partition)),
            format_rate(view.incoming_per_s),
            format_rate(view.applied_per_s),
            build_spark(at, [float(point.lag.get(view.partition, 0)) for point in history], highest),
        )
        for view in snapshot.partitions
    )


def build_worker_line(worker: WorkerView) -> WorkerLine:
    status = worker.fresh_status
    return WorkerLine(
        worker,
        *describe_state(worker),
        format_ranges(sorted(worker.partitions)),
        round(100 * status.busy) if status else None,
        format_rate(status.events_per_s if status else None),
        format_rate(status.capacity_per_s if status else None),
        format_latency(status.visible_p99_s if status else None),
    )


def describe_state(worker: WorkerView) -> tuple[str, Level | None]:
    if not worker.running:
        return f"gone for {format_duration(worker.status.silent_s)}" if worker.status else "gone", None
    if worker.fresh_status is None:
        return "sends no status", Level.WATCH
    if worker.fresh_status.breaker:
        return "breaker open", Level.ACT
    if worker.fresh_status.waiting_for:
        return f"waits: {worker.fresh_status.waiting_for}", Level.WATCH
    return "running", Level.WELL


def build_recount_line(recount: RecountStatus, now: datetime) -> RecountLine:
    expected = recount.rows_expected
    percent = None if expected is None else min(99, 100 * recount.rows_seen // max(1, expected))
    rows = f"{recount.rows_seen:,} of about {expected:,} rows" if expected is not None else "its rows are being counted"
    if recount.finished_at:
        percent, rows = 100, plural(recount.rows_seen, "row")
    when = (
        f"ended {format_ago(recount.finished_at, now)}"
        if recount.finished_at
        else (f"began {format_ago(recount.started_at, now)}")
    )
    title = name_course(recount.title, recount.course_id)
    return RecountLine(recount.course_id, title, recount.version, percent, rows, when)


def build_total_line(found: DisagreeingTotal, now: datetime) -> TotalLine:
    title = name_course(found.title, found.course_id)
    return TotalLine(found.course_id, title, found.total, found.needed, format_ago(found.at, now))


def format_latency(value: float | None) -> str:
    """Writes a latency as precisely as is useful."""
    if value is None:
        return UNKNOWN
    return f"{value * 1000:,.0f} ms" if value < 1 else f"{value:,.1f} s"
