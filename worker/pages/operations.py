"""What the Operations page shows: above all, in one line, whether somebody must do something. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from worker.letter_view import Row
from worker.ops import PartitionView, Snapshot, WorkerView
from worker.pages.charts import Line, LineChart, line_chart, spark
from worker.pages.words import UNKNOWN, counted, number, rate, span
from worker.trail import Point

BEHIND_S = 60  # of waiting events, at the present rate
OUTBOX_OLD_S = 60
VISIBLE_SLOW_S = 5.0
STALE_S = 15
# Of each server the parts that a snapshot may lack.
SERVERS = {
    "Kafka": {"lesson_events": "The log", "group": "The consumer group", "dead_letters": "The dead letter topic"},
    "PostgreSQL": {"stored": "What is applied", "statuses": "What workers say", "outbox": "The outbox"},
}


class Level(IntEnum):
    """How bad it is; said with a word and a shape too, for colour alone tells not everybody."""

    WELL = 0
    WATCH = 1
    ACT = 2

    @property
    def word(self) -> str:
        return ("All is well", "Keep an eye on it", "Act now")[self]

    @property
    def shape(self) -> str:
        return ("circle", "triangle", "octagon")[self]


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class PartitionLine:
    view: PartitionView
    lag: str
    incoming: str
    applied: str
    spark: Line


@dataclass(frozen=True, slots=True)
class WorkerLine:
    view: WorkerView
    state: str
    level: Level
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
    lag: str
    incoming: str
    applied: str
    visible_p50: str
    visible_p99: str
    outbox: str
    outbox_oldest: str
    advice: str
    lag_chart: LineChart
    rate_chart: LineChart
    partitions: tuple[PartitionLine, ...]
    workers: tuple[WorkerLine, ...]
    open_letters: int | None
    kinds: tuple[tuple[str, int], ...]
    letters: tuple[Row, ...]


def operations(snapshot: Snapshot, history: Sequence[Point], now: datetime) -> OperationsPage:
    found = sorted(findings(snapshot, now), key=lambda finding: -finding.level)
    kinds = snapshot.dead_letters.kinds if snapshot.dead_letters else {}
    return OperationsPage(
        snapshot.at,
        found[0].level,
        tuple(found),
        number(snapshot.lag),
        rate(snapshot.incoming_per_s),
        rate(snapshot.applied_per_s),
        seconds(snapshot.visible_p50_s),
        seconds(snapshot.visible_p99_s),
        number(snapshot.outbox.rows if snapshot.outbox else None),
        span(snapshot.outbox.oldest_s) if snapshot.outbox and snapshot.outbox.rows else "nothing waits",
        snapshot.advice.sentence,
        lag_chart(history),
        rate_chart(history),
        partitions(snapshot, history),
        tuple(worker_line(worker) for worker in snapshot.workers),
        sum(kinds.values()) if snapshot.dead_letters else None,
        tuple(sorted(((str(kind), count) for kind, count in kinds.items()), key=lambda item: -item[1])),
        snapshot.dead_letters.latest if snapshot.dead_letters else (),
    )


def findings(snapshot: Snapshot, now: datetime) -> Iterator[Finding]:
    """What there is to say; first that all is well, where it is."""
    others = [*_servers(snapshot, now), *_workers(snapshot), *_flow(snapshot)]
    if all(finding.level == Level.WELL for finding in others):
        running = sum(worker.running for worker in snapshot.workers)
        keep_up = "keeps up" if running == 1 else "keep up"
        yield Finding(
            Level.WELL, f"{counted(running, 'worker')} {keep_up} with {rate(snapshot.incoming_per_s)} events/s"
        )
    yield from others


def _servers(snapshot: Snapshot, now: datetime) -> Iterator[Finding]:
    if (now - snapshot.at).total_seconds() > STALE_S:
        yield Finding(Level.ACT, f"These figures are {span((now - snapshot.at).total_seconds())} old")
    for server, parts in SERVERS.items():
        gone = [name for part, name in parts.items() if part in snapshot.missing]
        for name in [server] if len(gone) == len(parts) else gone:
            yield Finding(Level.ACT, f"{name} cannot be read")
    if snapshot.breaker:
        yield Finding(Level.ACT, f"The breaker is open: {snapshot.breaker}")


def _workers(snapshot: Snapshot) -> Iterator[Finding]:
    running = [worker for worker in snapshot.workers if worker.running]
    told = not {"group", "statuses"} & snapshot.missing.keys()
    if told and not running:
        yield Finding(Level.ACT, "No worker runs")
    elif told and (idle := [p.partition for p in snapshot.partitions if p.owner is None]):
        yield Finding(Level.WATCH, f"Nobody reads {counted(len(idle), 'partition')}: {', '.join(map(str, idle))}")
    for worker in running:
        if worker.status is not None and worker.status.waiting_for:
            yield Finding(Level.ACT, f"{worker.name} waits for {worker.status.waiting_for}")
    wanted = snapshot.advice.workers
    if running and wanted is not None and wanted > len(running):
        yield Finding(Level.WATCH, f"{counted(wanted, 'worker')} would keep up, {len(running)} run")


def _flow(snapshot: Snapshot) -> Iterator[Finding]:
    lag, applied = snapshot.lag or 0, snapshot.applied_per_s
    if applied is not None and lag > BEHIND_S * max(1.0, applied):
        yield Finding(Level.ACT if applied < 1 else Level.WATCH, f"{lag:,} events wait, {rate(applied)}/s are applied")
    if snapshot.visible_p99_s is not None and snapshot.visible_p99_s > VISIBLE_SLOW_S:
        yield Finding(Level.WATCH, f"Events are seen after {span(snapshot.visible_p99_s)}")
    if snapshot.outbox and snapshot.outbox.oldest_s > OUTBOX_OLD_S:
        yield Finding(Level.WATCH, f"The outbox has waited for {span(snapshot.outbox.oldest_s)}")
    if snapshot.dead_letters and (opened := sum(snapshot.dead_letters.kinds.values())):
        yield Finding(Level.WELL, f"{counted(opened, 'open dead letter')} among the newest")


def lag_chart(history: Sequence[Point]) -> LineChart:
    totals = [float(sum(point.lag.values())) for point in history]
    return line_chart("Events that wait", "Time", times(history), [("Lag", "area", totals)])


def rate_chart(history: Sequence[Point]) -> LineChart:
    incoming = [point.incoming_per_s for point in history]
    applied = [point.applied_per_s for point in history]
    series = [("Applied", "area", applied), ("Incoming", "dashed", incoming)]
    return line_chart("Events per second", "Time", times(history), series)


def times(history: Sequence[Point]) -> list[str]:
    return [f"{point.at:%H:%M:%S}" for point in history]


def partitions(snapshot: Snapshot, history: Sequence[Point]) -> tuple[PartitionLine, ...]:
    highest = max((lag for point in history for lag in point.lag.values()), default=0)
    return tuple(
        PartitionLine(
            view,
            number(view.lag),
            rate(view.incoming_per_s),
            rate(view.applied_per_s),
            spark([float(point.lag.get(view.partition, 0)) for point in history], highest),
        )
        for view in snapshot.partitions
    )


def worker_line(worker: WorkerView) -> WorkerLine:
    status = worker.status
    return WorkerLine(
        worker,
        *worker_state(worker),
        ranges(sorted(worker.partitions)),
        round(100 * status.busy) if status else None,
        rate(status.events_per_s if status else None),
        rate(status.capacity_per_s if status else None),
        seconds(status.visible_p99_s if status else None),
    )


def worker_state(worker: WorkerView) -> tuple[str, Level]:
    if not worker.running:
        return "gone", Level.ACT
    if worker.status is None:
        return "says nothing of itself", Level.WATCH
    if worker.status.breaker:
        return "breaker open", Level.ACT
    if worker.status.waiting_for:
        return f"waits for {worker.status.waiting_for}", Level.ACT
    return "runs", Level.WELL


def ranges(numbers: Sequence[int]) -> str:
    """`0-3, 7`; a dash for none."""
    parts: list[list[int]] = []
    for value in numbers:
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts) or UNKNOWN


def seconds(value: float | None) -> str:
    """A latency, as precise as is of use."""
    if value is None:
        return UNKNOWN
    return f"{value * 1000:,.0f} ms" if value < 1 else f"{value:,.1f} s"
