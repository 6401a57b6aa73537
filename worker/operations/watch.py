"""What whoever runs the workers needs to see: Kafka, PostgreSQL and the workers, every two seconds while they look."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Any, Self

import asyncpg
import structlog
from aiokafka.errors import BrokerResponseError, KafkaError, RequestTimedOutError

from worker.deadletters.newest import DeadLetters
from worker.errors import KafkaUnavailable, ProgressError
from worker.kafka.failures import meaning
from worker.operations.advice import Advice, advise
from worker.operations.cluster import Cluster, Group, Member
from worker.operations.lag_history import Delay, Point, Rates, Sample, Trail
from worker.postgres.connection import bounded, query, translated
from worker.postgres.pool import connect_pool
from worker.settings import Settings

log = structlog.get_logger("operations")

LOOK_EVERY_S = 2.0
WATCHED_S = 60.0
SAMPLE_EVERY_S = 30.0
LONGEST_ANSWER_S = 3.0
KEPT_S = 15 * 60
NEWEST_LETTERS = 20
GONE_AFTER_S = 60
COUNT_UP_TO = 100_000

Question = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Status:
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
    def gone(self) -> bool:
        """Nobody has heard of it for a minute. Its row stays for a day."""
        return self.silent_s > GONE_AFTER_S


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker: as it describes itself, as Kafka's group has it, or both."""

    name: str
    status: Status | None  # None: it says nothing of itself, as one without PostgreSQL cannot
    member: Member | None  # None: it is not in the group, or the group is missing

    @property
    def told(self) -> Status | None:
        """What it says of itself, unless that is long ago."""
        return None if self.status is None or self.status.gone else self.status

    @property
    def running(self) -> bool:
        return self.member is not None or self.told is not None

    @property
    def partitions(self) -> Collection[int]:
        """Those it reads; Kafka's word where there is one."""
        if self.member is not None:
            return self.member.partitions
        return self.told.partitions if self.told is not None else ()


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
    dead_letters: DeadLetters | None
    outbox: Outbox | None
    advice: Advice


@dataclass(slots=True)
class Found:
    """The answers of one look; None where `missing` says why."""

    at: datetime
    missing: dict[str, str] = field(default_factory=dict)
    lesson_events: dict[int, tuple[int, int]] | None = None
    group: Group | None = None
    dead_letters: DeadLetters | None = None
    stored: dict[int, int] | None = None
    statuses: list[Status] | None = None
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


class Operations:
    """An async context manager. Whoever reads has it look every LOOK_EVERY_S for WATCHED_S, so any number of viewers
    cost the same. While nobody does, it only notes lag every SAMPLE_EVERY_S: whoever opens the page at night needs to
    see since when.

    Neither server need be there, not even at the start. Reading raises only for a bug.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = bounded(settings, LONGEST_ANSWER_S)
        self._cluster = Cluster(settings)
        self._trail = Trail(KEPT_S)
        self._snapshot: Snapshot | None = None
        self._looked = asyncio.Event()
        self._asked = asyncio.Event()
        self._asked_at = float("-inf")

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(self._settings, max_size=3)
        self._begin()
        return self

    def _begin(self) -> None:
        self._looked.clear()
        self._looking = asyncio.create_task(self._look_again_and_again(), name="operations")
        self._looking.add_done_callback(self._ended)

    def _ended(self, looking: asyncio.Task[None]) -> None:
        self._looked.set()
        if not looking.cancelled() and (error := looking.exception()):
            log.error("operations cannot be looked at", exc_info=error)

    async def __aexit__(self, *exc_info: object) -> None:
        self._looking.cancel()
        await asyncio.wait({self._looking})
        await self._cluster.close()
        self._pool.terminate()  # nothing was begun that has to end

    async def snapshot(self) -> Snapshot:
        """The latest look. The first to ask after a pause waits for a new one, for some seconds at most.

        Raises for a bug, and has it tried again.
        """
        self._asked_at = asyncio.get_running_loop().time()
        self._asked.set()
        await self._looked.wait()
        if self._looking.done():
            ended = self._looking
            self._begin()
            ended.result()
        assert self._snapshot is not None
        return self._snapshot

    def history(self, every_s: float = SAMPLE_EVERY_S - LOOK_EVERY_S) -> tuple[Point, ...]:
        """Lag and rates of the last quarter of an hour, oldest first; some SAMPLE_EVERY_S apart, whether or not
        anybody looked, but for times when a server was away."""
        return self._trail.points(every_s)

    def delays(self) -> dict[int, Delay]:
        """How far behind each partition is, by the last look at which both servers answered."""
        return self._trail.delays()

    async def _look_again_and_again(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            watched = self._asked.is_set() or began - self._asked_at < WATCHED_S
            self._asked.clear()
            found = await self._look(everything=watched)
            if (sample := found.sample) is not None:
                self._trail.add(sample)
            if watched:
                self._snapshot = snapshot(found, self._trail.rates() if sample else None)
                self._looked.set()
                await asyncio.sleep(max(0, LOOK_EVERY_S - (loop.time() - began)))
            else:
                self._looked.clear()
                await self._until_asked(began + SAMPLE_EVERY_S)

    async def _until_asked(self, at: float) -> None:
        """Or until then, by the loop's clock."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(at):
                await self._asked.wait()

    async def _look(self, *, everything: bool) -> Found:
        """All that a snapshot needs, or only a sample."""
        found = Found(datetime.now(UTC))
        async with asyncio.TaskGroup() as both:
            both.create_task(self._look_at_kafka(found, everything))
            both.create_task(self._look_at_postgresql(found, everything))
        return found

    async def _look_at_kafka(self, found: Found, everything: bool) -> None:
        """One question after the other, on one connection; where Kafka is away, only the first has to wait for it."""
        cluster = self._cluster
        questions: dict[str, Question] = {"lesson_events": cluster.lesson_events}
        if everything:
            questions |= {"group": cluster.group, "dead_letters": lambda: cluster.dead_letters(NEWEST_LETTERS)}
        for name, question in questions.items():
            problem = await found.ask(name, partial(self._of_kafka, question))
            if problem is not None and not (cluster.connected and _is_answer(problem.__cause__)):
                found.missing |= {other: str(problem) for other in questions if getattr(found, other) is None}
                with suppress(KafkaError):  # of what had failed already
                    await cluster.close()
                return

    async def _of_kafka(self, question: Question) -> Any:
        try:
            async with asyncio.timeout(LONGEST_ANSWER_S):
                await self._cluster.connect()
                return await question()
        except (KafkaError, TimeoutError) as error:
            raise meaning(error, self._settings) from error
        except UnicodeDecodeError as error:  # aiokafka's, for all records of the fetch
            raise KafkaUnavailable("a dead letter has a header whose name is not UTF-8") from error

    async def _look_at_postgresql(self, found: Found, everything: bool) -> None:
        async with asyncio.TaskGroup() as all_three:
            all_three.create_task(found.ask("stored", self._stored))
            if everything:
                all_three.create_task(found.ask("statuses", self._statuses))
                all_three.create_task(found.ask("outbox", self._outbox))

    async def _stored(self) -> dict[int, int]:
        rows = await self._fetch("postgres/next_offsets", self._settings.consumer_group)
        return {
            row["partition"]: row["next_offset"] for row in rows if row["topic"] == self._settings.lesson_events_topic
        }

    async def _statuses(self) -> list[Status]:
        return [Status(**row) for row in await self._fetch("operations/worker_statuses", self._settings.consumer_group)]

    async def _outbox(self) -> Outbox:
        depths = await self._fetch("outbox/depth", [], [], COUNT_UP_TO)
        [outbox] = (Outbox(row["rows"], row["oldest_s"]) for row in depths if row["whose"] == "all")
        return outbox

    async def _fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        with translated():
            async with asyncio.timeout(LONGEST_ANSWER_S):
                return await self._pool.fetch(query(name), *arguments)


def _is_answer(error: BaseException | None) -> bool:
    """Whether a broker answered, so that the connection is good: a new cluster has no coordinator for a moment."""
    return isinstance(error, BrokerResponseError | UnicodeDecodeError) and not isinstance(error, RequestTimedOutError)


# From what was found to what is shown. Pure


def snapshot(found: Found, rates: Rates | None) -> Snapshot:
    """What one look found, put together; `rates` None: not known at present."""
    workers = together(found.statuses or [], found.group)
    running = [worker for worker in workers if worker.running]
    statuses = [worker.told for worker in running if worker.told is not None]
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
            held_up=breaker or held_up(statuses),
        ),
    )


def held_up(statuses: Collection[Status]) -> str | None:
    """Why all workers stand still, if they do."""
    reasons = [status.waiting_for for status in statuses]
    return reasons[0] if reasons and all(reasons) else None


def together(statuses: Collection[Status], group: Group | None) -> tuple[WorkerView, ...]:
    """Each worker once, by name: a member's client id is its worker's name (consumer.name)."""
    said = {status.worker: status for status in statuses}
    members = {member.client_id: member for member in (group.members if group else ())}
    return tuple(WorkerView(name, said.get(name), members.get(name)) for name in sorted(said.keys() | members.keys()))


def _partitions(found: Found, rates: Rates | None, running: Collection[WorkerView]) -> tuple[PartitionView, ...]:
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
