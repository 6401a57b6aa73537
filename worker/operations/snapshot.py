"""Builds the snapshot that an operator sees from the answers of one look. Pure, except for `Look.ask`."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any
from uuid import UUID

import asyncpg

from worker.deadletters.newest import NewestSummary
from worker.errors import ProgressError
from worker.operations.advice import Advice, advise, bound_capacity
from worker.operations.cluster import Group, Member
from worker.operations.lag_history import Rates, Sample

GONE_AFTER_S = 60
MOST_COURSES = 10  # of which an operator sees recounts, and disagreeing totals
Question = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class DisagreeingTotal:
    """Says that events of a course have lately had another total than its newest version needs."""

    course_id: UUID
    title: str | None  # of the newest version
    total: int
    needed: int
    at: datetime


@dataclass(frozen=True, slots=True)
class RecountStatus:
    """Says how far the progress rows of a course are recounted for its newest version."""

    course_id: UUID
    title: str | None
    version: int
    rows_seen: int
    rows_expected: int | None  # None: not counted yet
    started_at: datetime
    finished_at: datetime | None  # None: it is under way


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """Holds a worker's row in worker_status (sql/0006_worker_status.sql), and how long ago it wrote it."""

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
    disagreeing_totals: tuple[DisagreeingTotal, ...] = ()

    @property
    def is_gone(self) -> bool:
        """Tells whether the worker wrote nothing for GONE_AFTER_S. Its row stays for a day."""
        return self.silent_s > GONE_AFTER_S


@dataclass(frozen=True, slots=True)
class WorkerView:
    """Describes a worker by its own row, by its membership of Kafka's group, or by both."""

    name: str
    status: WorkerStatus | None  # None: it has no row; a worker without PostgreSQL cannot write one
    member: Member | None  # None: it is not in the group, or Kafka did not answer

    @property
    def fresh_status(self) -> WorkerStatus | None:
        """Returns the worker's row, unless the worker is gone."""
        return None if self.status is None or self.status.is_gone else self.status

    @property
    def running(self) -> bool:
        return self.member is not None or self.fresh_status is not None

    @property
    def partitions(self) -> Collection[int]:
        """Returns the partitions that it reads: Kafka's answer if there is one, else the worker's own."""
        if self.member is not None:
            return self.member.partitions
        return self.fresh_status.partitions if self.fresh_status is not None else ()


@dataclass(frozen=True, slots=True)
class PartitionView:
    """Describes a partition of lesson-events. A value is None where its server did not answer."""

    partition: int
    end: int | None
    stored: int | None  # the stored offset; None also where nothing is stored yet, or in a deleted topic of that name
    lag: int | None
    incoming_per_s: float | None
    applied_per_s: float | None
    owner: str | None


@dataclass(frozen=True, slots=True)
class Outbox:
    """Counts the course events that wait to be published, up to COUNT_UP_TO."""

    rows: int
    oldest_s: float  # 0 where none waits


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Describes workers, Kafka and PostgreSQL at the time `at`.

    `missing` maps each part that could not be read to the reason; such a part is None or empty here. The parts are

    - of Kafka: `lesson_events` (ends of the log, so lag and rates), `group`, `dead_letters`;
    - of PostgreSQL: `stored` (offsets, so lag and rates), `statuses` (of workers), `outbox`, `recounts`.
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
    recounts: tuple[RecountStatus, ...] = ()  # under way first, then those that have just ended
    disagreeing_totals: tuple[DisagreeingTotal, ...] = ()  # the latest of each course, the latest first


@dataclass(slots=True)
class Look:
    """Collects the answers of one look; a part is None where it was not asked for or `missing` has the reason."""

    at: datetime
    missing: dict[str, str] = field(default_factory=dict)
    lesson_events: dict[int, tuple[int, int]] | None = None
    group: Group | None = None
    dead_letters: NewestSummary | None = None
    stored: dict[int, int] | None = None
    statuses: list[WorkerStatus] | None = None
    outbox: Outbox | None = None
    recounts: list[RecountStatus] | None = None
    topic_id: UUID | None = None  # of lesson-events, by Kafka
    counted_topic_id: UUID | None = None  # of the topic that the stored offsets count in

    async def ask(self, name: str, question: Question) -> Exception | None:
        """Keeps the answer, or the error in `missing`. Returns the error."""
        try:
            setattr(self, name, await question())
        except (ProgressError, asyncpg.PostgresError) as error:  # the latter: an error of the server itself
            self.missing[name] = str(error)
            return error
        return None

    @property
    def offsets(self) -> dict[int, int]:
        """Returns the stored offsets; none where they count in a deleted topic, for nothing of this one is applied."""
        known = {self.topic_id, self.counted_topic_id} - {None}
        return {} if len(known) > 1 else self.stored or {}

    @property
    def sample(self) -> Sample | None:
        """Returns where each partition ends and from where workers read on; None unless both servers answered."""
        if self.lesson_events is None or self.stored is None:
            return None
        ends = {partition: end for partition, (_, end) in self.lesson_events.items()}
        applied = {p: max(first, self.offsets.get(p, first)) for p, (first, _) in self.lesson_events.items()}
        return Sample(self.at, ends, applied)


def build_snapshot(look: Look, rates: Rates | None) -> Snapshot:
    """Builds the snapshot from one look; `rates` None: not known."""
    workers = join_workers(look.statuses or [], look.group)
    running = [worker for worker in workers if worker.running]
    statuses = [worker.fresh_status for worker in running if worker.fresh_status is not None]
    partitions = _build_partitions(look, rates, running)
    lag = sum(look.sample.lag.values()) if look.sample else None
    incoming = sum(rates.incoming.values()) if rates else None
    capacities = [status.capacity_per_s for status in statuses if status.capacity_per_s]
    bounds = [bound for status in statuses if (bound := bound_capacity(status.events_per_s, status.busy))]
    breaker = next((status.breaker for status in statuses if status.breaker), None)
    return Snapshot(
        look.at,
        look.missing,
        partitions,
        lag,
        incoming,
        sum(rates.applied.values()) if rates else None,
        look.group.state if look.group else None,
        workers,
        breaker,
        max((s.visible_p50_s for s in statuses if s.visible_p50_s is not None), default=None),
        max((s.visible_p99_s for s in statuses if s.visible_p99_s is not None), default=None),
        look.dead_letters,
        look.outbox,
        advise(
            partitions=len(partitions),
            running=len(running),
            incoming_per_s=incoming,
            capacity_per_s=median(capacities) if capacities else None,
            lag=lag,
            stall_reason=breaker or stall_reason(statuses),
            capacity_at_least_per_s=median(bounds) if bounds else None,
        ),
        tuple(look.recounts or ()),
        join_disagreeing_totals(statuses),
    )


def join_disagreeing_totals(statuses: Iterable[WorkerStatus]) -> tuple[DisagreeingTotal, ...]:
    """Joins what workers say into the latest of each course, of MOST_COURSES courses, the latest first."""
    found = sorted((each for status in statuses for each in status.disagreeing_totals), key=lambda each: each.at)
    latest = {each.course_id: each for each in found}
    return tuple(sorted(latest.values(), key=lambda each: each.at, reverse=True)[:MOST_COURSES])


def stall_reason(statuses: Collection[WorkerStatus]) -> str | None:
    """Returns why all workers stand still; None when one does not."""
    reasons = [status.waiting_for for status in statuses]
    return reasons[0] if reasons and all(reasons) else None


def join_workers(statuses: Collection[WorkerStatus], group: Group | None) -> tuple[WorkerView, ...]:
    """Joins rows and group members by worker name: a member's client id is the name (Settings.worker_name)."""
    by_name = {status.worker: status for status in statuses}
    members = {member.client_id: member for member in (group.members if group else ())}
    return tuple(
        WorkerView(name, by_name.get(name), members.get(name)) for name in sorted(by_name.keys() | members.keys())
    )


def _build_partitions(look: Look, rates: Rates | None, running: Collection[WorkerView]) -> tuple[PartitionView, ...]:
    ends = {partition: end for partition, (_, end) in (look.lesson_events or {}).items()}
    stored = look.offsets
    lag = look.sample.lag if look.sample else {}
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
