"""One lane of the intake: takes a batch of its partitions, sees it settled, and only then takes the next.

A worker has two. While PostgreSQL works for one, the other fetches, decodes and folds (docs/decisions/0021).
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from faust.types import ChannelT

from worker.errors import BreakerOpen, Bug, OffsetBeyondLog, TookTooLong, Unavailable, ValueRefused
from worker.intake.bad_headers import fetch_with_bad_headers
from worker.intake.breaker import Breaker
from worker.intake.log_watch import LONGEST_ANSWER_S, LogWatch
from worker.intake.membership import Membership
from worker.intake.settle import stopping
from worker.intake.topic_identity import TopicIdentity
from worker.kafka.failures import explain_consumer_error
from worker.metrics import prometheus as metrics
from worker.progress.store import Store
from worker.settings import Settings
from worker.stream.batch import Batch, gather, skipped_over
from worker.stream.outcome import Record
from worker.stream.sink import Applied, OffsetsMoved

log = structlog.get_logger("intake")

LANES = 2
FETCH_WAIT_S = 0.2
LOOK_EVERY_S = 1.0
LONGEST_BACKOFF_S = 5.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What the lanes of a worker have in common."""

    settings: Settings
    consumer: AIOKafkaConsumer
    batches: ChannelT[Batch]
    identity: TopicIdentity
    ends: LogWatch
    breaker: Breaker
    membership: Membership
    committable: dict[TopicPartition, int]  # what Kafka may be told
    give_back: Callable[[Iterable[TopicPartition]], None]  # of partitions of which a lane took another's records
    rejecting: asyncio.Lock = field(default_factory=asyncio.Lock)


class Lane:
    """Its partitions come and go with the consumer group, also in the middle of a turn."""

    def __init__(self, number: int, shared: Shared, store: Store) -> None:
        """`store` is this lane's alone: a connection does one statement at a time."""
        self._number = number
        self._settings = shared.settings
        self._shared = shared
        self._consumer = shared.consumer
        self._store = store
        self._mine: set[TopicPartition] = set()
        self._next: dict[TopicPartition, int | None] = {}  # what the next fetched record must follow on
        self._unadopted: set[TopicPartition] = set()  # assigned, the stored offset not looked up yet
        self._stopping = asyncio.Event()
        self.in_flight: asyncio.Future[Applied | OffsetsMoved] | None = None  # `settled` of the batch with the agent
        self.waiting: str | None = None  # why the batch in flight, or the adoption, is repeated
        self.last_turn = time.monotonic()

    @property
    def owned(self) -> set[TopicPartition]:
        """The partitions it reads now."""
        return set(self._next)

    def assign(self, partitions: set[TopicPartition]) -> None:
        """These are its partitions now, and no others. They stay paused until it knows their stored offsets."""
        self._mine = partitions
        self._next.clear()
        self._unadopted.clear()
        self.readopt(partitions)
        self.last_turn = time.monotonic()  # in a long rebalance it could not turn

    def revoke(self, partitions: Iterable[TopicPartition]) -> None:
        for tp in partitions:
            self._mine.discard(tp)
            self._next.pop(tp, None)
            self._unadopted.discard(tp)

    def stop(self) -> None:
        """A batch that cannot be applied at present is not repeated any more: the next worker has it."""
        self._stopping.set()

    async def turn(self) -> None:
        """One batch, if there is one. Raises BreakerOpen before its dead letters would be written."""
        await self._adopt()
        batch = await self._fetch()
        await self._settle(batch)
        self.last_turn = time.monotonic()

    async def idle_turn(self) -> None:
        """Takes nothing, and stays in the group: its partitions are ours, and so is their outbox."""
        await self._adopt()
        await self._take_nothing(FETCH_WAIT_S)
        self.last_turn = time.monotonic()

    # In

    async def _fetch(self) -> Batch:
        fetched = await self._getmany(FETCH_WAIT_S)
        if fetched:
            metrics.THROUGHPUT.batch_taken(self._number)
        with metrics.stage("decode"):
            batch = gather(fetched, self._next)
        if not fetched:
            batch = skipped_over(await self._positions(), self._next)
        self._shared.ends.lag.took(batch)
        self._next.update({tp: span.next for tp, span in batch.spans.items() if tp in self._next})
        return batch

    async def _getmany(self, timeout_s: float) -> dict[TopicPartition, list[Record]]:
        self._shared.membership.require_alone()
        if not self._mine:  # asked for none, aiokafka hands out those of all
            await self._sleep(timeout_s)
            return {}
        asked = self._mine.copy()
        try:
            fetched: dict[TopicPartition, list[Record]] = await self._consumer.getmany(
                *asked, timeout_ms=int(timeout_s * 1000), max_records=self._settings.batch_size
            )
        except NoOffsetForPartitionError:  # of a partition that is not adopted yet: its position is about to be set
            return {}
        except OffsetOutOfRangeError as error:  # the log was truncated or recreated: adopting says which
            self.readopt(error.args[0])
            return {}
        except (UnicodeDecodeError, CorruptRecordException):
            if asked <= self._mine:
                return await self._read_misnamed()
            # A rebalance overtook this, and aiokafka dropped what it had taken: each owner reads its own again.
            self._shared.give_back(asked)
            return {}
        except KafkaError as error:
            await self._kafka_fails(error)
            return {}
        if strays := fetched.keys() - self._mine:  # asked for before a rebalance, and another lane's since
            self._shared.give_back(strays)
        return {tp: records for tp, records in fetched.items() if tp in self._mine}

    async def _read_misnamed(self) -> dict[TopicPartition, list[Record]]:
        """Fetches what aiokafka cannot hand out, and moves the consumer behind it.

        What aiokafka had taken from other partitions it has dropped, so each goes on from where ours is.
        """
        start = self._next.copy()
        try:
            positions, found = await fetch_with_bad_headers(self._consumer, start, self._settings.batch_size)
        except KafkaError as error:
            self.readopt(start)
            if not isinstance(error, OffsetOutOfRangeError):  # of which adopting says what it means
                await self._kafka_fails(error)
            return {}
        if not found and self._next == start:
            raise Bug(f"aiokafka cannot read a record behind one of {positions}, and neither can this worker")
        for tp in positions.keys() & self._next.keys() & self._consumer.assignment():
            self._consumer.seek(tp, positions[tp])
        return found

    async def _kafka_fails(self, error: KafkaError) -> None:
        """Waits a moment for what passes by itself; raises SetupError for what does not."""
        what = explain_consumer_error(error, self._settings)
        if not isinstance(what, Unavailable):
            raise what from error
        self._shared.ends.note_kafka(str(what))
        await self._sleep(LOOK_EVERY_S)

    async def _positions(self) -> dict[TopicPartition, int]:
        """Where the consumer stands: past a transaction's markers, which are never handed out."""
        try:
            return {tp: await self._consumer.position(tp) for tp in set(self._next) - self._consumer.paused()}
        except IllegalStateError:  # a rebalance has begun
            return {}

    # Out

    async def _settle(self, batch: Batch) -> None:
        """Sees a batch through: repeats it, gives up partitions that moved, or bisects it. Raises for a bug."""
        attempt = 0
        while batch.spans:
            try:
                outcome = await self._attempt(batch)
            except Unavailable as error:
                if self._stopping.is_set():
                    return  # not applied, so not committed: the next worker has it
                attempt += 1
                await self._wait_out(error, attempt)
                if isinstance(error, TookTooLong) and attempt > 1 and len(batch.entries) > 1:
                    await self._settle_parts(batch.bisected(str(error)))
                    return
                batch = batch.again()
            except ValueRefused as error:
                if not batch.occurrences:  # no event's value was in the statement
                    raise stopping(error, batch) from error
                await self._settle_parts(batch.bisected(str(error)))
                return
            except BreakerOpen:
                raise
            except Exception as error:
                raise stopping(error, batch) from error
            else:
                if isinstance(outcome, Applied):
                    return
                batch = self._give_up(batch, outcome)

    async def _settle_parts(self, parts: list[Batch]) -> None:
        for part in parts:
            await self._settle(part)

    async def _attempt(self, batch: Batch) -> Applied | OffsetsMoved:
        """One at a time of those with rejected records: the breaker has counted one before it judges the next."""
        async with self._shared.rejecting if batch.rejected else nullcontext():
            self.last_turn = time.monotonic()  # to wait for the other lane is not to be stuck
            outcome = await self._handed_over(batch)
            if isinstance(outcome, Applied):
                self._applied(batch, outcome)
            return outcome

    async def _handed_over(self, batch: Batch) -> Applied | OffsetsMoved:
        """What became of the batch with the agent. Raises BreakerOpen before its dead letters would be written."""
        breaker = self._shared.breaker
        if breaker.opened is None and not batch.dead_letters_written and (flood := breaker.flood(batch.entries)):
            log.error("the breaker is open", reason=str(flood))
            metrics.BREAKER_OPEN.set(1)
            breaker.opened = flood
        if breaker.opened:  # also when the other lane found it so while this one fetched
            raise BreakerOpen(str(breaker.opened))
        batch.lane = self._number
        batch.settled = self.in_flight = asyncio.get_running_loop().create_future()
        try:
            # A channel drops what nobody listens for; faust subscribes its agents before this service starts.
            await self._shared.batches.put(batch)  # type: ignore[arg-type]
            return await batch.settled
        finally:
            self.in_flight = None

    def _applied(self, batch: Batch, outcome: Applied) -> None:
        if self.waiting:
            log.info("the batch that waited is applied")
        self.waiting = None
        self._shared.breaker.count(batch.entries)
        self._shared.ends.lag.applied(batch.spans)
        self._shared.committable.update({tp: span.next for tp, span in batch.spans.items()})
        metrics.count_batch(self._number, batch.entries, outcome.transitions)

    def _give_up(self, batch: Batch, moved: OffsetsMoved) -> Batch:
        """Another worker has these partitions, or had them: look the offsets up again if they are still ours."""
        log.info("offsets moved by another worker", partitions=sorted(tp.partition for tp in moved.found))
        metrics.OFFSETS_LOST.inc(len(moved.found))
        self.readopt(moved.found)
        return batch.without(moved.found)

    async def _wait_out(self, error: Unavailable, attempt: int) -> None:
        """Waits before a repetition. The group keeps its member: getmany goes on being called."""
        if self.waiting is None:
            log.warning("waiting, the batch will be repeated", error=str(error))
        self.waiting = str(error)
        metrics.RETRIES.labels(type(error).__name__).inc()
        backoff_s = min(LONGEST_BACKOFF_S, 0.05 * 2 ** min(attempt, 10)) * random.uniform(0.5, 1)
        await self._take_nothing(backoff_s)
        self._consumer.resume(*(self._next.keys() & self._consumer.assignment()))
        self.last_turn = time.monotonic()

    async def _take_nothing(self, for_s: float) -> None:
        self._consumer.pause(*(self._mine & self._consumer.assignment()))
        fetched = await self._getmany(for_s)
        # A rebalance meanwhile forgot the pause: what was dropped here must be fetched again.
        self.readopt(fetched)

    # Partitions come

    def readopt(self, partitions: Iterable[TopicPartition]) -> None:
        """Has those that are its own read again from their stored offsets."""
        ours = set(partitions) & self._mine & self._consumer.assignment()
        for tp in partitions:
            self._next.pop(tp, None)
        self._consumer.pause(*ours)
        self._unadopted |= ours

    async def _adopt(self) -> None:
        """Goes on, in newly assigned partitions, from the offsets stored with the rows."""
        if not self._unadopted:
            return
        partitions, self._unadopted = self._unadopted, set()
        try:
            await self._shared.identity.check(self._consumer._client, self._store)
            stored = await self._store.next_offsets(partitions)
            async with asyncio.timeout(LONGEST_ANSWER_S * 2):
                first = await self._consumer.beginning_offsets(partitions)
                end = await self._consumer.end_offsets(partitions)
        except (Unavailable, KafkaError, TimeoutError) as error:
            reason = error if isinstance(error, Unavailable) else explain_consumer_error(error, self._settings)
            if not isinstance(reason, Unavailable):
                raise reason from error
            self._unadopted |= partitions & self._mine
            await self._wait_out(reason, 5)
            return
        for tp in (partitions & self._mine & self._consumer.assignment()) - self._unadopted:
            self._go_on(tp, stored[tp], first[tp], end[tp])
        self.waiting = None

    def _go_on(self, tp: TopicPartition, stored: int | None, first: int, end: int) -> None:
        if stored is not None and stored > end:
            raise OffsetBeyondLog(
                f"{tp.topic}[{tp.partition}] ends at {end} but {stored} is stored as applied: the topic was recreated "
                "or truncated. To read it from its start, which is safe at any time: stop the workers, then "
                f"`course-progress rewind --to earliest --partition {tp.partition}`"
            )
        if stored is not None and stored < first:
            log.error(
                "events were deleted by retention before they were applied",
                topic=tp.topic,
                partition=tp.partition,
                first_missing=stored,
                missing=first - stored,
            )
            metrics.MISSING.inc(first - stored)
        self._next[tp] = stored
        self._shared.ends.lag.go_on(tp, max(first, stored or 0))
        self._consumer.seek(tp, max(first, stored or 0))
        self._consumer.resume(tp)

    async def _sleep(self, for_s: float) -> None:
        """Less when it is to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await self._stopping.wait()
