"""What the Operations page shows: above all, in plain words, whether somebody must do something, and what. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from worker.letter_view import Row
from worker.ops import PartitionView, Snapshot, WorkerView
from worker.pages.charts import Line, LineChart, line_chart, spark
from worker.pages.words import MINUTE, UNKNOWN, counted, number, rate, span
from worker.trail import Delay, Point

LATE_S = 10  # longer than a healthy worker ever takes, and about what a restart does
STILL_S = 30
OUTBOX_OLD_S = 60
VISIBLE_SLOW_S = 5.0
STALE_S = 15
UNKNOWN_NOTE = "not known at present"
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
    do: str = ""  # by whoever was woken by it


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
        snapshot.at,
        found[0].level,
        tuple(found),
        (behind(snapshot, known), waiting(snapshot), reading(snapshot)),
        tuple(details(snapshot)),
        snapshot.advice.sentence,
        lag_chart(history),
        rate_chart(history),
        partitions(snapshot, history, known),
        tuple(worker_line(worker) for worker in sorted(snapshot.workers, key=lambda worker: not worker.running)),
        tuple(sorted(((str(kind), count) for kind, count in kinds.items()), key=lambda item: -item[1])),
        snapshot.dead_letters.latest if snapshot.dead_letters else (),
    )


# The first answers


def behind(snapshot: Snapshot, delays: Mapping[int, Delay]) -> Figure:
    if not delays:
        return Figure("Behind", UNKNOWN, UNKNOWN_NOTE)
    worst = furthest(delays)
    delay = delays[worst]
    if not delay.seconds and not delay.longer:
        return Figure("Behind", delayed(delay), "every partition is up to date")
    note = f"partition {worst}, read by {owner(snapshot, worst)}"
    return Figure("Behind", delayed(delay), note if delay.seconds < 2 * MINUTE else f"{span(delay.seconds)}: {note}")


def furthest(delays: Mapping[int, Delay]) -> int:
    """The partition that is furthest behind."""
    return max(delays, key=lambda partition: (delays[partition].seconds, delays[partition].longer))


def delayed(delay: Delay | None) -> str:
    return UNKNOWN if delay is None else f"{'over ' if delay.longer else ''}{delay.seconds:,.0f} s"


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
        "Workers that run", number(running), f"read {read} of {counted(len(snapshot.partitions), 'partition')}"
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


# What there is to say


def findings(snapshot: Snapshot, delays: Mapping[int, Delay], now: datetime) -> Iterator[Finding]:
    """First that all is well, where it is."""
    others = [*_servers(snapshot, now), *_flow(snapshot, delays), *_workers(snapshot)]
    if all(finding.level == Level.WELL for finding in others):
        running = sum(worker.running for worker in snapshot.workers)
        keep_up = "keeps up" if running == 1 else "keep up"
        yield Finding(
            Level.WELL, f"{counted(running, 'worker')} {keep_up} with {rate(snapshot.incoming_per_s)} events/s"
        )
    yield from others


def _servers(snapshot: Snapshot, now: datetime) -> Iterator[Finding]:
    if (age_s := (now - snapshot.at).total_seconds()) > STALE_S:
        yield Finding(Level.ACT, f"These figures are {span(age_s)} old", "Restart the API; workers do not need it.")
    for server, parts in SERVERS.items():
        gone = [part for part in parts if part in snapshot.missing]
        if len(gone) == len(parts):
            do = f"Bring {server} back. Workers wait for it and go on by themselves; nothing is lost."
            yield Finding(Level.ACT, f"{server} cannot be read", do)
        else:
            yield from (Finding(Level.ACT, f"{parts[part]} cannot be read", snapshot.missing[part]) for part in gone)
    if snapshot.breaker:
        do = (
            "Nothing is skipped, and no more is taken. Stop who sends the bad records, then restart the workers: "
            "docs/oncall.md, “/ready is 503”."
        )
        yield Finding(Level.ACT, f"The breaker is open: {snapshot.breaker}", do)


def _workers(snapshot: Snapshot) -> Iterator[Finding]:
    running = [worker for worker in snapshot.workers if worker.running]
    told = not {"group", "statuses"} & snapshot.missing.keys()
    if told and not running:
        do = "Start one: course-progress worker. Events wait in Kafka meanwhile; nothing is lost."
        yield Finding(Level.ACT, "No worker runs", do)
    elif told and (idle := [p.partition for p in snapshot.partitions if p.owner is None]):
        do = "During a restart that is usual. If it lasts a minute, restart a worker."
        yield Finding(Level.WATCH, f"Nobody reads {counted(len(idle), 'partition')}: {ranges(idle)}", do)
    for reason, names in held_up(running).items():
        who = f"{names[0]} waits" if len(names) == 1 else f"{len(names)} workers wait"
        yield Finding(Level.ACT, f"{who}: {reason}", "Mend that: they go on by themselves; nothing is lost.")
    wanted = snapshot.advice.workers
    if running and wanted is not None and wanted > len(running):
        do = f"Start {wanted - len(running)} more: course-progress worker."
        yield Finding(Level.WATCH, f"{counted(wanted, 'worker')} would keep up, {len(running)} run", do)


def held_up(running: Sequence[WorkerView]) -> Mapping[str, Sequence[str]]:
    """The workers' names by what they wait for; an open breaker is told of elsewhere."""
    names = defaultdict(list)
    for worker in running:
        if worker.status is not None and worker.status.waiting_for and not worker.status.breaker:
            names[worker.status.waiting_for].append(worker.name)
    return names


def _flow(snapshot: Snapshot, delays: Mapping[int, Delay]) -> Iterator[Finding]:
    yield from _lag(snapshot, delays)
    if snapshot.visible_p99_s is not None and snapshot.visible_p99_s > VISIBLE_SLOW_S:
        over = delays and not any(delay.seconds for delay in delays.values())
        do = (
            "That is over: nothing is behind any more."
            if over
            else "Look how busy the workers below are, and at PostgreSQL's load."
        )
        yield Finding(Level.WATCH, f"Events are seen after {span(snapshot.visible_p99_s)}", do)
    if snapshot.outbox and snapshot.outbox.oldest_s > OUTBOX_OLD_S:
        do = "Certificates wait. The workers' logs say why Kafka does not take course events."
        yield Finding(Level.WATCH, f"The outbox has waited for {span(snapshot.outbox.oldest_s)}", do)
    if snapshot.dead_letters and (opened := sum(snapshot.dead_letters.kinds.values())):
        do = "No hurry: they hold up nobody. Replay them below when their cause is mended."
        yield Finding(Level.WELL, f"{counted(opened, 'open dead letter')} among the newest", do)


def _lag(snapshot: Snapshot, delays: Mapping[int, Delay]) -> Iterator[Finding]:
    """A partition that stands still is told apart from a backlog: waiting does not help it."""
    excused = {
        worker.name for worker in snapshot.workers if worker.running and worker.status and worker.status.waiting_for
    }
    late = {partition: delay.seconds for partition, delay in delays.items() if delay.seconds >= LATE_S}
    still = [
        view
        for view in snapshot.partitions
        if late.get(view.partition, 0) >= STILL_S
        and view.owner
        and view.owner not in excused
        and not view.applied_per_s
    ]
    for name in dict.fromkeys(view.owner for view in still):
        numbers = [view.partition for view in still if view.owner == name]
        what = f"Partition{'s' if len(numbers) > 1 else ''} {ranges(numbers)}"
        do = "Read the last lines of its log. To kill it is safe (kill -9): others take over, or it starts anew."
        yield Finding(Level.ACT, f"{what} of {name} {'stand' if len(numbers) > 1 else 'stands'} still", do)
    if late and not still:
        longest = delayed(delays[furthest(delays)])
        do = "" if snapshot.breaker or excused else _ends(snapshot)
        yield Finding(Level.WATCH, f"{number(snapshot.lag)} events wait, some for {longest}", do)


def _ends(snapshot: Snapshot) -> str:
    """When nothing will wait any more, as things go."""
    if not snapshot.applied_per_s:
        return "None is applied just now: a restart takes some seconds."
    gain = snapshot.applied_per_s - (snapshot.incoming_per_s or 0)
    if gain <= 0:
        return "More come in than are applied: start more workers, up to one for each partition."
    return f"At this rate nothing waits any more in {span(max(1, (snapshot.lag or 0) / gain))}."


# The details


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


def partitions(snapshot: Snapshot, history: Sequence[Point], delays: Mapping[int, Delay]) -> tuple[PartitionLine, ...]:
    highest = max((lag for point in history for lag in point.lag.values()), default=0)
    return tuple(
        PartitionLine(
            view,
            number(view.lag),
            delayed(delays.get(view.partition)),
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


def worker_state(worker: WorkerView) -> tuple[str, Level | None]:
    if not worker.running:
        return f"gone for {span(worker.status.silent_s)}" if worker.status else "gone", None
    if worker.status is None:
        return "says nothing of itself", Level.WATCH
    if worker.status.breaker:
        return "breaker open", Level.ACT
    if worker.status.waiting_for:
        return f"waits: {worker.status.waiting_for}", Level.ACT
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
