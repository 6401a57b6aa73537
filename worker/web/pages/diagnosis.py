"""Diagnoses what is wrong, how bad it is and what to do about it, in plain words. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from worker.operations.lag_history import Delay
from worker.operations.snapshot import PartitionView, Snapshot, WorkerView
from worker.web.pages.formatting import UNKNOWN, format_duration, format_number, format_ranges, format_rate, plural

LATE_S = 10  # longer than a healthy worker ever takes, and about as long as a restart
STILL_S = 30
OUTBOX_OLD_S = 60
VISIBLE_SLOW_S = 5.0
STALE_S = 15
# The parts of a snapshot that come from each server, and may be missing.
SERVERS = {
    "Kafka": {
        "lesson_events": "The log of lesson events",
        "group": "The consumer group",
        "dead_letters": "The dead letter topic",
    },
    "PostgreSQL": {
        "stored": "The stored offsets",
        "statuses": "The workers' status",
        "outbox": "The outbox",
        "recounts": "The recounts of courses",
    },
}


class Level(IntEnum):
    """Says how bad a finding is, with a word and a shape too, because some readers cannot tell colours apart."""

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
    """Says what is wrong and what to do about it."""

    level: Level
    text: str
    do: str = ""  # for the operator whom it woke


def diagnose(snapshot: Snapshot, delays: Mapping[int, Delay], now: datetime) -> Iterator[Finding]:
    """Yields the findings, first that all is well where it is."""
    others = [
        *_check_servers(snapshot, now),
        *_check_flow(snapshot, delays),
        *_check_workers(snapshot, delays),
        *_check_courses(snapshot),
    ]
    if all(finding.level == Level.WELL for finding in others):
        running = sum(worker.running for worker in snapshot.workers)
        keep_up = "keeps up" if running == 1 else "keep up"
        yield Finding(
            Level.WELL, f"{plural(running, 'worker')} {keep_up} with {format_rate(snapshot.incoming_per_s)} events/s"
        )
    yield from others


def _check_servers(snapshot: Snapshot, now: datetime) -> Iterator[Finding]:
    if (age_s := (now - snapshot.at).total_seconds()) > STALE_S:
        yield Finding(
            Level.ACT, f"These figures are {format_duration(age_s)} old", "Restart the API. Workers do not need it."
        )
    for server, parts in SERVERS.items():
        gone = [part for part in parts if part in snapshot.missing]
        if len(gone) == len(parts):
            do = f"Bring {server} back. Workers wait for it and go on by themselves; nothing is lost."
            yield Finding(Level.ACT, f"{server} cannot be read", do)
        else:
            yield from (Finding(Level.ACT, f"{parts[part]} cannot be read", snapshot.missing[part]) for part in gone)
    if snapshot.breaker:
        do = (
            "No event is skipped, and no more are taken. Stop the sender of the bad records, then restart the workers: "
            "docs/oncall.md, “/ready is 503”."
        )
        yield Finding(Level.ACT, f"The breaker is open: {snapshot.breaker}", do)


def _check_workers(snapshot: Snapshot, delays: Mapping[int, Delay]) -> Iterator[Finding]:
    running = [worker for worker in snapshot.workers if worker.running]
    known = not {"group", "statuses"} & snapshot.missing.keys()
    if known and not running:
        do = "Start one: course-progress worker. Events wait in Kafka meanwhile; nothing is lost."
        yield Finding(Level.ACT, "No worker is running", do)
    elif known and (idle := [p.partition for p in snapshot.partitions if p.owner is None]):
        lasts = any(partition in delays and delays[partition].seconds >= STILL_S for partition in idle)
        do = "Restart a worker." if lasts else "This is usual during a restart. If it lasts, restart a worker."
        yield Finding(
            Level.ACT if lasts else Level.WATCH,
            f"No worker reads {name_partitions(idle)}",
            do,
        )
    for reason, names in group_by_wait(running).items():
        who = f"{names[0]} waits" if len(names) == 1 else f"{len(names)} workers wait"
        lasts = not delays or any(delay.seconds >= STILL_S for delay in delays.values())
        do = (
            "Fix the cause. Workers then go on by themselves; nothing is lost."
            if lasts
            else "This is usual for some seconds, as during a restart."
        )
        yield Finding(Level.ACT if lasts else Level.WATCH, f"{who}: {reason}", do)
    wanted = snapshot.advice.workers
    if running and wanted is not None and wanted > len(running):
        are = "is" if len(running) == 1 else "are"
        do = f"Start {wanted - len(running)} more: course-progress worker."
        yield Finding(Level.WATCH, f"{plural(wanted, 'worker')} would keep up, but {len(running)} {are} running", do)


def group_by_wait(running: Sequence[WorkerView]) -> Mapping[str, Sequence[str]]:
    """Groups the workers' names by what they wait for. An open breaker is a finding of its own."""
    names = defaultdict(list)
    for worker in running:
        status = worker.fresh_status
        if status is not None and status.waiting_for and not status.breaker:
            names[status.waiting_for].append(worker.name)
    return names


def _check_flow(snapshot: Snapshot, delays: Mapping[int, Delay]) -> Iterator[Finding]:
    yield from _check_lag(snapshot, delays)
    if snapshot.visible_p99_s is not None and snapshot.visible_p99_s > VISIBLE_SLOW_S:
        over = delays and not any(delay.seconds for delay in delays.values())
        do = (
            "This is over: no partition is behind any more."
            if over
            else "Check how busy the workers below are, and the load of PostgreSQL."
        )
        yield Finding(Level.WATCH, f"Events become visible after {format_duration(snapshot.visible_p99_s)}", do)
    if snapshot.outbox and snapshot.outbox.oldest_s > OUTBOX_OLD_S:
        do = "Certificates are late. The workers' logs say why Kafka does not take course events."
        yield Finding(Level.WATCH, f"The outbox has been waiting for {format_duration(snapshot.outbox.oldest_s)}", do)
    if snapshot.dead_letters and (opened := sum(snapshot.dead_letters.kinds.values())):
        do = "No hurry: they hold up no other event. Replay them below when their cause is fixed."
        yield Finding(Level.WELL, f"{plural(opened, 'open dead letter')} among the newest", do)


def _check_courses(snapshot: Snapshot) -> Iterator[Finding]:
    if under_way := sum(recount.finished_at is None for recount in snapshot.recounts):
        do = "Until its end, learners who do nothing meanwhile see what the version before said."
        yield Finding(Level.WELL, f"The progress of {plural(under_way, 'course')} is being recounted", do)
    if snapshot.disagreeing_totals:
        courses = plural(len(snapshot.disagreeing_totals), "course")
        do = "Such a total decides nothing. Its player has an old copy of the course, or counts other lessons."
        yield Finding(Level.WELL, f"Events of {courses} say another total than the newest version needs", do)


def _check_lag(snapshot: Snapshot, delays: Mapping[int, Delay]) -> Iterator[Finding]:
    """Tells a partition that stands still from a backlog, because waiting does not help it."""
    excused = {
        worker.name
        for worker in snapshot.workers
        if worker.running and worker.fresh_status and worker.fresh_status.waiting_for
    }
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
        what = name_partitions(numbers).capitalize()
        do = "Read the last lines of its log. Killing it is safe (kill -9): others take over, or it starts again."
        yield Finding(Level.ACT, f"{what} of {name} {'stand' if len(numbers) > 1 else 'stands'} still", do)
    if late and not still:
        longest = format_delay(delays[find_furthest(delays)])
        do = "" if snapshot.breaker or excused else _predict_end(snapshot)
        yield Finding(Level.WATCH, f"{format_number(snapshot.lag)} events wait, some for {longest}", do)


def is_late(view: PartitionView, delay: Delay | None) -> bool:
    """Returns whether a partition is late. Its size decides for a backlog that is older than the first look."""
    if delay is None:
        return False
    large = (view.lag or 0) > LATE_S * max(1.0, view.applied_per_s or 0)
    return delay.seconds >= LATE_S or (delay.longer and large)


def _predict_end(snapshot: Snapshot) -> str:
    """Says when the backlog will be gone at the current rates."""
    if not snapshot.applied_per_s:
        return "No event is applied right now. A restart takes some seconds."
    gain = snapshot.applied_per_s - (snapshot.incoming_per_s or 0)
    if gain <= 0:
        return "More events come in than are applied: start more workers, up to one for each partition."
    return f"At this rate the backlog is gone in {format_duration(max(1, (snapshot.lag or 0) / gain))}."


def find_furthest(delays: Mapping[int, Delay]) -> int:
    """Returns the partition that is furthest behind."""
    return max(delays, key=lambda partition: (delays[partition].seconds, delays[partition].longer))


def name_partitions(numbers: Sequence[int]) -> str:
    """Writes `partition 3` or `partitions 0-3, 7`."""
    return f"partition{'s' if len(numbers) > 1 else ''} {format_ranges(numbers)}"


def format_delay(delay: Delay | None) -> str:
    return UNKNOWN if delay is None else f"{'over ' if delay.longer else ''}{delay.seconds:,.0f} s"
