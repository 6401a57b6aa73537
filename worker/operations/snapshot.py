"""From what was found to what is shown. Pure."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

import asyncpg

from worker.deadletters.newest import NewestSummary
from worker.errors import ProgressError
from worker.operations.advice import Advice, advise
from worker.operations.cluster import Group, Member
from worker.operations.lag_history import Rates, Sample

GONE_AFTER_S = 60
Question = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What a worker said of itself (sql/0006_worker_status.sql), and how long ago."""

    worker: str
    host: str
    version: str
    started_at: datetime
    partitions: list[int]
    events_per_s: float
    busy: float
    capacity_per_s: float | None
    visible_p50_s: float | None
    visible_p99_s: float | None
    dead_letters: int
    breaker: str | None
    waiting_for: str | None
    silent_s: float

    @property
    def is_gone(self) -> bool:
        """Nobody has heard of it for a minute. Its row stays for a day."""
        return self.silent_s > GONE_AFTER_S


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker: as it describes itself, as Kafka's group has it, or both."""

    name: str
    status: WorkerStatus | None  # None: it says nothing of itself, as one without PostgreSQL cannot
    member: Member | None  # None: it is not in the group, or the group is missing

    @property
    def fresh_status(self) -> WorkerStatus | None:
        """What it says of itself, unless that is long ago."""
        return None if self.status is None or self.status.is_gone else self.status

    @property
    def running(self) -> bool:
        return self.member is not None or self.fresh_status is not None

    @property
    def partitions(self) -> Collection[int]:
        """Those it reads; Kafka's word where there is one."""
        if self.member is not None:
            return self.member.partitions
        return self.fresh_status.partitions if self.fresh_status is not None else ()


@dataclass(frozen=True, slots=True)
class PartitionView:
    """A partition of lesson-events. None is what was not to be had."""

    partition: int
    end: int | None
    stored: int | None  # every event before it is in the rows; None also where nothing is stored yet
    lag: int | None
    incoming_per_s: float | None
    applied_per_s: float | None
    owner: str | None


@dataclass(frozen=True, slots=True)
class Outbox:
    """Course events that wait to be published, counted up to COUNT_UP_TO."""

    rows: int
    oldest_s: float  # 0 without one


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How it all was at `at`. `missing` says which parts could not be had, and why; they are None or empty here:

    `lesson_events` (ends of the log, so lag and rates), `group`, `dead_letters`: Kafka's;
    `stored` (offsets, so lag and rates), `statuses` (of workers), `outbox`: PostgreSQL's.
    """

    at: datetime
    missing: Mapping[str, str]
    partitions: tuple[PartitionView, ...]
    lag: int | None
    incoming_per_s: float | None
    applied_per_s: float | None
    group_state: str | None  # Kafka's word: Stable, Empty, …
    workers: tuple[WorkerView, ...]  # also those that are gone
    breaker: str | None  # why a worker's breaker is open
    visible_p50_s: float | None  # of the slowest worker: from a record's timestamp to its commit, in the last minute
    visible_p99_s: float | None
    dead_letters: NewestSummary | None
    outbox: Outbox | None
    advice: Advice


@dataclass(slots=True)
class Look:
    """The answers of one look; None where `missing` says why."""

    at: datetime
    missing: dict[str, str] = field(default_factory=dict)
    lesson_events: dict[int, tuple[int, int]] | None = None
    group: Group | None = None
    dead_letters: NewestSummary | None = None
    stored: dict[int, int] | None = None
    statuses: list[WorkerStatus] | None = None
    outbox: Outbox | None = None

    async def ask(self, name: str, question: Question) -> Exception | None:
        """Notes the answer, or why there is none, which it returns."""
        try:
            setattr(self, name, await question())
        except (ProgressError, asyncpg.PostgresError) as error:  # the latter: the server's own trouble
            self.missing[name] = str(error)
            return error
        return None

    @property
    def sample(self) -> Sample | None:
        """Where each partition ends and goes on, when both servers told."""
        if self.lesson_events is None or self.stored is None:
            return None
        ends = {partition: end for partition, (_, end) in self.lesson_events.items()}
        on = {p: max(first, self.stored.get(p, first)) for p, (first, _) in self.lesson_events.items()}
        return Sample(self.at, ends, on)


def build_snapshot(found: Look, rates: Rates | None) -> Snapshot:
    """What one look found, put together; `rates` None: not known at present."""
    workers = join_workers(found.statuses or [], found.group)
    running = [worker for worker in workers if worker.running]
    statuses = [worker.fresh_status for worker in running if worker.fresh_status is not None]
    partitions = _partitions(found, rates, running)
    lag = sum(found.sample.lag.values()) if found.sample else None
    incoming = sum(rates.incoming.values()) if rates else None
    capacities = [status.capacity_per_s for status in statuses if status.capacity_per_s]
    breaker = next((status.breaker for status in statuses if status.breaker), None)
    return Snapshot(
        found.at,
        found.missing,
        partitions,
        lag,
        incoming,
        sum(rates.applied.values()) if rates else None,
        found.group.state if found.group else None,
        workers,
        breaker,
        max((s.visible_p50_s for s in statuses if s.visible_p50_s is not None), default=None),
        max((s.visible_p99_s for s in statuses if s.visible_p99_s is not None), default=None),
        found.dead_letters,
        found.outbox,
        advise(
            partitions=len(partitions),
            running=len(running),
            incoming_per_s=incoming,
            capacity_per_s=median(capacities) if capacities else None,
            lag=lag,
            stall_reason=breaker or stall_reason(statuses),
        ),
    )


def stall_reason(statuses: Collection[WorkerStatus]) -> str | None:
    """Why all workers stand still, if they do."""
    reasons = [status.waiting_for for status in statuses]
    return reasons[0] if reasons and all(reasons) else None


def join_workers(statuses: Collection[WorkerStatus], group: Group | None) -> tuple[WorkerView, ...]:
    """Each worker once, by name: a member's client id is its worker's name (Settings.worker_name)."""
    said = {status.worker: status for status in statuses}
    members = {member.client_id: member for member in (group.members if group else ())}
    return tuple(WorkerView(name, said.get(name), members.get(name)) for name in sorted(said.keys() | members.keys()))


def _partitions(found: Look, rates: Rates | None, running: Collection[WorkerView]) -> tuple[PartitionView, ...]:
    ends = {partition: end for partition, (_, end) in (found.lesson_events or {}).items()}
    stored = found.stored or {}
    lag = found.sample.lag if found.sample else {}
    owners = {partition: worker.name for worker in running for partition in worker.partitions}
    return tuple(
        PartitionView(
            partition,
            ends.get(partition),
            stored.get(partition),
            lag.get(partition),
            rates.incoming.get(partition) if rates else None,
            rates.applied.get(partition) if rates else None,
            owners.get(partition),
        )
        for partition in sorted(ends.keys() | stored.keys())
    )
