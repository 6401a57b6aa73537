"""What is wrong, how bad it is, and what to do about it, in plain words. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from worker.operations.lag_history import Delay
from worker.operations.snapshot import PartitionView, Snapshot, WorkerView
from worker.web.pages.formatting import UNKNOWN, number, plural, ranges, rate, span

LATE_S = 10  # longer than a healthy worker ever takes, and about what a restart does
STILL_S = 30
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
    do: str = ""  # by whoever was woken by it


def findings(snapshot: Snapshot, delays: Mapping[int, Delay], now: datetime) -> Iterator[Finding]:
    """First that all is well, where it is."""
    others = [*_servers(snapshot, now), *_flow(snapshot, delays), *_workers(snapshot, delays)]
    if all(finding.level == Level.WELL for finding in others):
        running = sum(worker.running for worker in snapshot.workers)
        keep_up = "keeps up" if running == 1 else "keep up"
        yield Finding(
            Level.WELL, f"{plural(running, 'worker')} {keep_up} with {rate(snapshot.incoming_per_s)} events/s"
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


def _workers(snapshot: Snapshot, delays: Mapping[int, Delay]) -> Iterator[Finding]:
    running = [worker for worker in snapshot.workers if worker.running]
    told = not {"group", "statuses"} & snapshot.missing.keys()
    if told and not running:
        do = "Start one: course-progress worker. Events wait in Kafka meanwhile; nothing is lost."
        yield Finding(Level.ACT, "No worker runs", do)
    elif told and (idle := [p.partition for p in snapshot.partitions if p.owner is None]):
        lasts = any(partition in delays and delays[partition].seconds >= STILL_S for partition in idle)
        do = "Restart a worker." if lasts else "During a restart that is usual. If it lasts, restart a worker."
        yield Finding(
            Level.ACT if lasts else Level.WATCH, f"Nobody reads {plural(len(idle), 'partition')}: {ranges(idle)}", do
        )
    for reason, names in held_up(running).items():
        who = f"{names[0]} waits" if len(names) == 1 else f"{len(names)} workers wait"
        lasts = not delays or any(delay.seconds >= STILL_S for delay in delays.values())
        do = (
            "Mend that: they go on by themselves; nothing is lost."
            if lasts
            else "Usual for some seconds, as in a restart."
        )
        yield Finding(Level.ACT if lasts else Level.WATCH, f"{who}: {reason}", do)
    wanted = snapshot.advice.workers
    if running and wanted is not None and wanted > len(running):
        do = f"Start {wanted - len(running)} more: course-progress worker."
        yield Finding(Level.WATCH, f"{plural(wanted, 'worker')} would keep up, {len(running)} run", do)


def held_up(running: Sequence[WorkerView]) -> Mapping[str, Sequence[str]]:
    """The workers' names by what they wait for; an open breaker is told of elsewhere."""
    names = defaultdict(list)
    for worker in running:
        status = worker.fresh_status
        if status is not None and status.waiting_for and not status.breaker:
            names[status.waiting_for].append(worker.name)
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
        yield Finding(Level.WELL, f"{plural(opened, 'open dead letter')} among the newest", do)


def _lag(snapshot: Snapshot, delays: Mapping[int, Delay]) -> Iterator[Finding]:
    """A partition that stands still is told apart from a backlog: waiting does not help it."""
    running = [worker for worker in snapshot.workers if worker.running]
    excused = {worker.name for worker in running if worker.fresh_status and worker.fresh_status.waiting_for}
    late = [view for view in snapshot.partitions if is_late(view, delays.get(view.partition))]
    still = [
        view
        for view in late
        if view.owner
        and view.owner not in excused
        and view.applied_per_s == 0  # and not None: not known
        and delays[view.partition].seconds >= STILL_S
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


def is_late(view: PartitionView, delay: Delay | None) -> bool:
    """Of a backlog that is older than the first look, its size tells."""
    if delay is None:
        return False
    large = (view.lag or 0) > LATE_S * max(1.0, view.applied_per_s or 0)
    return delay.seconds >= LATE_S or (delay.longer and large)


def _ends(snapshot: Snapshot) -> str:
    """When nothing will wait any more, as things go."""
    if not snapshot.applied_per_s:
        return "None is applied just now: a restart takes some seconds."
    gain = snapshot.applied_per_s - (snapshot.incoming_per_s or 0)
    if gain <= 0:
        return "More come in than are applied: start more workers, up to one for each partition."
    return f"At this rate nothing waits any more in {span(max(1, (snapshot.lag or 0) / gain))}."


def furthest(delays: Mapping[int, Delay]) -> int:
    """The partition that is furthest behind."""
    return max(delays, key=lambda partition: (delays[partition].seconds, delays[partition].longer))


def delayed(delay: Delay | None) -> str:
    return UNKNOWN if delay is None else f"{'over ' if delay.longer else ''}{delay.seconds:,.0f} s"
