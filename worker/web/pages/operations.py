"""What the Operations page shows: first whether somebody must do something (findings.py), then the figures. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.deadletters.row import Row
from worker.operations.lag_history import Delay, Point
from worker.operations.snapshot import PartitionView, Snapshot, WorkerView
from worker.web.pages.charts import Line, LineChart, line_chart, spark
from worker.web.pages.diagnosis import Finding, Level, delayed, findings, furthest
from worker.web.pages.formatting import MINUTE, UNKNOWN, number, plural, ranges, rate, span

UNKNOWN_NOTE = "not known at present"


@dataclass(frozen=True, slots=True)
class Figure:
    """What is asked first, its answer, and what explains it."""

    name: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class PartitionLine:
    view: PartitionView
    lag: str
    behind: str
    incoming: str
    applied: str
    spark: Line


@dataclass(frozen=True, slots=True)
class WorkerLine:
    view: WorkerView
    state: str
    level: Level | None  # None: it is history
    partitions: str
    busy: int | None  # percent
    rate: str
    capacity: str
    visible: str


@dataclass(frozen=True, slots=True)
class OperationsPage:
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
    kinds: tuple[tuple[str, int], ...]
    letters: tuple[Row, ...]


def operations(
    snapshot: Snapshot, history: Sequence[Point], delays: Mapping[int, Delay], now: datetime
) -> OperationsPage:
    known = delays if snapshot.lag is not None else {}  # else those are old
    found = sorted(findings(snapshot, known, now), key=lambda finding: -finding.level)
    kinds = snapshot.dead_letters.kinds if snapshot.dead_letters else {}
    return OperationsPage(
        at=snapshot.at,
        level=found[0].level,
        findings=tuple(found),
        first=(behind(snapshot, known), waiting(snapshot), reading(snapshot)),
        details=tuple(details(snapshot)),
        advice=snapshot.advice.sentence,
        lag_chart=lag_chart(history),
        rate_chart=rate_chart(history),
        partitions=partitions(snapshot, history, known),
        workers=tuple(
            worker_line(worker) for worker in sorted(snapshot.workers, key=lambda worker: not worker.running)
        ),
        kinds=tuple(sorted(((str(kind), count) for kind, count in kinds.items()), key=lambda item: -item[1])),
        letters=snapshot.dead_letters.latest if snapshot.dead_letters else (),
    )


# The first answers


def behind(snapshot: Snapshot, delays: Mapping[int, Delay]) -> Figure:
    if not delays:
        return Figure("Behind", UNKNOWN, UNKNOWN_NOTE)
    worst = furthest(delays)
    delay = delays[worst]
    if not delay.seconds and not delay.longer:
        note = "what waits has just come" if snapshot.lag else "every partition is up to date"
        return Figure("Behind", delayed(delay), note)
    note = f"partition {worst}, read by {owner(snapshot, worst)}"
    return Figure("Behind", delayed(delay), note if delay.seconds < 2 * MINUTE else f"{span(delay.seconds)}: {note}")


def owner(snapshot: Snapshot, partition: int) -> str:
    return next((view.owner for view in snapshot.partitions if view.partition == partition and view.owner), "nobody")


def waiting(snapshot: Snapshot) -> Figure:
    if snapshot.lag is None:
        return Figure("Events that wait", UNKNOWN, UNKNOWN_NOTE)
    note = f"{rate(snapshot.incoming_per_s)}/s come in, {rate(snapshot.applied_per_s)}/s are applied"
    return Figure("Events that wait", number(snapshot.lag), note)


def reading(snapshot: Snapshot) -> Figure:
    if {"group", "statuses"} <= snapshot.missing.keys():
        return Figure("Workers", UNKNOWN, UNKNOWN_NOTE)
    running = sum(worker.running for worker in snapshot.workers)
    read = sum(view.owner is not None for view in snapshot.partitions)
    return Figure(
        "Workers that run", number(running), f"read {read} of {plural(len(snapshot.partitions), 'partition')}"
    )


def details(snapshot: Snapshot) -> Iterator[Figure]:
    outbox, letters = snapshot.outbox, snapshot.dead_letters
    yield Figure("Half are visible within", seconds(snapshot.visible_p50_s), "from Kafka to the row, last minute")
    yield Figure("99 % are visible within", seconds(snapshot.visible_p99_s), "from Kafka to the row, last minute")
    yield Figure(
        "Outbox",
        number(outbox.rows if outbox else None),
        f"the oldest for {span(outbox.oldest_s)}" if outbox and outbox.rows else "course events to publish",
    )
    yield Figure("Dead letters", number(sum(letters.kinds.values()) if letters else None), "open, of the newest")


# The details


def lag_chart(history: Sequence[Point]) -> LineChart:
    totals = [float(sum(point.lag.values())) for point in history]
    return line_chart("Events that wait", times(history), [("Lag", "area", totals)])


def rate_chart(history: Sequence[Point]) -> LineChart:
    incoming = [point.incoming_per_s for point in history]
    applied = [point.applied_per_s for point in history]
    series = [("Applied", "area", applied), ("Incoming", "dashed", incoming)]
    return line_chart("Events per second", times(history), series)


def times(history: Sequence[Point]) -> list[datetime]:
    return [point.at for point in history]


def partitions(snapshot: Snapshot, history: Sequence[Point], delays: Mapping[int, Delay]) -> tuple[PartitionLine, ...]:
    highest = max((lag for point in history for lag in point.lag.values()), default=0)
    at = times(history)
    return tuple(
        PartitionLine(
            view,
            number(view.lag),
            delayed(delays.get(view.partition)),
            rate(view.incoming_per_s),
            rate(view.applied_per_s),
            spark(at, [float(point.lag.get(view.partition, 0)) for point in history], highest),
        )
        for view in snapshot.partitions
    )


def worker_line(worker: WorkerView) -> WorkerLine:
    status = worker.fresh_status
    return WorkerLine(
        worker,
        *worker_state(worker),
        ranges(sorted(worker.partitions)),
        round(100 * status.busy) if status else None,
        rate(status.events_per_s if status else None),
        rate(status.capacity_per_s if status else None),
        seconds(status.visible_p99_s if status else None),
    )


def worker_state(worker: WorkerView) -> tuple[str, Level | None]:
    if not worker.running:
        return f"gone for {span(worker.status.silent_s)}" if worker.status else "gone", None
    if worker.fresh_status is None:
        return "says nothing of itself", Level.WATCH
    if worker.fresh_status.breaker:
        return "breaker open", Level.ACT
    if worker.fresh_status.waiting_for:
        return f"waits: {worker.fresh_status.waiting_for}", Level.WATCH
    return "runs", Level.WELL


def seconds(value: float | None) -> str:
    """A latency, as precise as is of use."""
    if value is None:
        return UNKNOWN
    return f"{value * 1000:,.0f} ms" if value < 1 else f"{value:,.1f} s"
