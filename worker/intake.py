"""Kafka in: takes batches from the consumer group, sees each settled, and only then moves on.

The truth about what was applied is `consumed_offset` in PostgreSQL, moved with the rows by compare-and-swap. What
this module does about rebalances and pauses is for speed and quiet. What it must get right itself: a record that was
fetched is handed over, or its partition is read again from the stored offset (`_readopt`).
"""

import asyncio
import random
import time
from collections.abc import Iterable
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from faust.types import ChannelT
from mode import Service

from events.subscriber import stop
from worker import metrics
from worker.batch import Batch, gather, skipped_over
from worker.breaker import Breaker
from worker.consumer import create_consumer, start
from worker.decode import Record
from worker.ends import LONGEST_ANSWER_S, Ends
from worker.errors import BreakerOpen, Bug, OffsetBeyondLog, TookTooLong, Unavailable, ValueRefused
from worker.identity import TopicIdentity
from worker.kafka_errors import meaning
from worker.membership import Membership
from worker.settings import Settings
from worker.stopping import stopping
from worker.store import Applied, OffsetsMoved, Store
from worker.unreadable import fetch_misnamed

log = structlog.get_logger("intake")

FETCH_WAIT_S = 0.2
LOOK_EVERY_S = 1.0
LONGEST_BACKOFF_S = 5.0
CHECK_TOPIC_EVERY_S = 3.0


class Intake(Service, ConsumerRebalanceListener):  # type: ignore[misc]
    """Owns the consumer. One batch is with the agent while the next is fetched and decoded."""

    def __init__(self, settings: Settings, batches: ChannelT[Batch], store: Store, **service: Any) -> None:
        super().__init__(**service)
        self._settings = settings
        self._batches = batches
        self._store = store
        self._identity = TopicIdentity(settings, store)
        self._next: dict[TopicPartition, int | None] = {}  # what the next fetched record must follow on
        self._unadopted: set[TopicPartition] = set()  # assigned, the stored offset not looked up yet
        self._committable: dict[TopicPartition, int] = {}
        self._in_flight: Batch | None = None
        self._running: asyncio.Future[None] | None = None
        self._breaker = Breaker(
            window=settings.breaker_window,
            share_percent=settings.breaker_share,
            consecutive=settings.breaker_consecutive,
        )
        self._ends = Ends(settings)
        self._membership = Membership(settings)
        self._joined = False  # the group has told which partitions are ours, perhaps none; not so in a rebalance
        self._waiting: str | None = None  # why the batch in flight, or the adoption, is repeated
        self._last_turn = time.monotonic()
        self.breaker_open: BreakerOpen | None = None

    @property
    def owned(self) -> set[TopicPartition]:
        """The partitions this worker reads now."""
        return set(self._next)

    @property
    def waiting_for(self) -> str | None:
        """Why nothing moves at present, if that is known."""
        unsettled = None if self._joined else "the consumer group has not settled"
        return str(self.breaker_open) if self.breaker_open else self._ends.away or self._waiting or unsettled

    def silent_s(self, now: float) -> float:
        """How long the loop has not turned; none of that in a rebalance, in which getmany waits for Kafka."""
        return now - self._last_turn if self._joined else 0

    @property
    def dead(self) -> bool:
        """Whether the loop has ended, and nothing else has."""
        return self._running is not None and self._running.done()

    async def ends(self) -> dict[TopicPartition, int]:
        """Where each partition of the topic that has records ends now, whoever owns it."""
        topic = self._settings.lesson_events_topic
        # Known since the consumer started: it waits for what it is subscribed to.
        partitions = [TopicPartition(topic, p) for p in self._consumer.partitions_for_topic(topic)]
        first = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        return {tp: end for tp, end in ends.items() if end > first[tp]}

    async def on_start(self) -> None:
        self._consumer = create_consumer(self._settings, self)
        await start(self._consumer, self._settings)

    async def on_started(self) -> None:
        self._running = self.add_future(self._run())

    async def on_stop(self) -> None:
        """Waits for the batch in flight, tells Kafka where the next worker goes on, and leaves the group."""
        if self._running is not None:  # it may be stopped before it has started
            await asyncio.wait({self._running}, timeout=self._settings.rebalance_timeout_s)
        await self._commit()
        await stop(self._consumer)

    # The loop

    async def _run(self) -> None:
        try:
            while not self.should_stop:
                await self._turn()
            await self._settle_in_flight()
        except BreakerOpen as opened:
            await self._stay_open(opened)

    async def _turn(self) -> None:
        await self._adopt()
        batch = await self._fetch()
        await self._settle_in_flight()
        if batch.spans:
            await self._hand_over(batch)
        self._last_turn = time.monotonic()

    async def _stay_open(self, opened: BreakerOpen) -> None:
        """Takes nothing any more, and stays in the group: its partitions are ours, and so is their outbox."""
        log.error("the breaker is open", reason=str(opened))
        metrics.BREAKER_OPEN.set(1)
        self.breaker_open = opened
        self._in_flight = None
        while not self.should_stop:
            await self._adopt()
            await self._take_nothing(FETCH_WAIT_S)
            self._last_turn = time.monotonic()

    async def _fetch(self) -> Batch:
        fetched = await self._getmany(FETCH_WAIT_S)
        with metrics.stage("decode"):
            batch = gather(fetched, self._next)
        if not fetched:
            batch = skipped_over(await self._positions(), self._next)
        self._ends.lag.took(batch)
        self._next.update({tp: span.next for tp, span in batch.spans.items() if tp in self._next})
        return batch

    async def _getmany(self, timeout_s: float) -> dict[TopicPartition, list[Record]]:
        self._membership.require_alone()
        try:
            fetched: dict[TopicPartition, list[Record]] = await self._consumer.getmany(
                timeout_ms=int(timeout_s * 1000), max_records=self._settings.batch_size
            )
        except NoOffsetForPartitionError:  # of a partition that is not adopted yet: its position is about to be set
            return {}
        except OffsetOutOfRangeError as error:  # the log was truncated or recreated: adopting says which
            self._readopt(error.args[0])
            return {}
        except (UnicodeDecodeError, CorruptRecordException):
            return await self._read_misnamed()
        except KafkaError as error:
            await self._kafka_fails(error)
            return {}
        return fetched

    async def _read_misnamed(self) -> dict[TopicPartition, list[Record]]:
        """Fetches what aiokafka cannot hand out, and moves the consumer behind it.

        What aiokafka had taken from other partitions it has dropped, so each goes on from where ours is.
        """
        start = self._next.copy()
        try:
            positions, found = await fetch_misnamed(self._consumer, start, self._settings.batch_size)
        except KafkaError as error:
            self._readopt(start)
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
        what = meaning(error, self._settings)
        if not isinstance(what, Unavailable):
            raise what from error
        self._ends.say(str(what))
        await self.sleep(LOOK_EVERY_S)

    async def _positions(self) -> dict[TopicPartition, int]:
        """Where the consumer stands: past a transaction's markers, which are never handed out."""
        try:
            return {tp: await self._consumer.position(tp) for tp in set(self._next) - self._consumer.paused()}
        except IllegalStateError:  # a rebalance has begun
            return {}

    async def _hand_over(self, batch: Batch) -> None:
        """Gives the batch to the agent. Raises BreakerOpen before its dead letters would be written."""
        if not batch.dead_letters_written and (flood := self._breaker.flood(batch.entries)):
            raise BreakerOpen(str(flood))
        batch.settled = self.loop.create_future()
        self._in_flight = batch
        # A channel drops what nobody listens for; faust subscribes its agents before this service starts.
        await self._batches.put(batch)  # type: ignore[arg-type]

    async def _settle_in_flight(self) -> None:
        if self._in_flight is not None:
            await self._settle(self._in_flight)
            self._in_flight = None

    async def _settle(self, batch: Batch) -> None:
        """Sees a batch through: repeats it, gives up partitions that moved, or bisects it. Raises for a bug."""
        attempt = 0
        while True:
            try:
                outcome = await batch.settled
            except Unavailable as error:
                if self.should_stop:
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
            except Exception as error:
                raise stopping(error, batch) from error
            else:
                if isinstance(outcome, Applied):
                    self._applied(batch, outcome)
                    return
                batch = self._give_up(batch, outcome)
                if not batch.spans:
                    return
            await self._hand_over(batch)

    async def _settle_parts(self, parts: list[Batch]) -> None:
        for part in parts:
            await self._hand_over(part)
            await self._settle(part)

    def _applied(self, batch: Batch, outcome: Applied) -> None:
        if self._waiting:
            log.info("the batch that waited is applied")
        self._waiting = None
        self._breaker.count(batch.entries)
        self._ends.lag.applied(batch.spans)
        self._committable.update({tp: span.next for tp, span in batch.spans.items()})
        metrics.count_batch(batch.entries, outcome.transitions)

    def _give_up(self, batch: Batch, moved: OffsetsMoved) -> Batch:
        """Another worker has these partitions, or had them: look the offsets up again if they are still ours."""
        log.info("offsets moved by another worker", partitions=sorted(tp.partition for tp in moved.found))
        metrics.OFFSETS_LOST.inc(len(moved.found))
        self._readopt(moved.found)
        return batch.without(moved.found)

    async def _wait_out(self, error: Unavailable, attempt: int) -> None:
        """Waits before a repetition. The group keeps its member: getmany goes on being called."""
        if self._waiting is None:
            log.warning("waiting, the batch will be repeated", error=str(error))
        self._waiting = str(error)
        metrics.RETRIES.labels(type(error).__name__).inc()
        backoff_s = min(LONGEST_BACKOFF_S, 0.05 * 2 ** min(attempt, 10)) * random.uniform(0.5, 1)
        await self._take_nothing(backoff_s)
        self._consumer.resume(*(self._next.keys() & self._consumer.assignment()))
        self._last_turn = time.monotonic()

    async def _take_nothing(self, for_s: float) -> None:
        self._consumer.pause(*self._consumer.assignment())
        fetched = await self._getmany(for_s)
        # A rebalance meanwhile forgot the pause: what was dropped here must be fetched again.
        self._readopt(fetched)

    # Partitions come and go

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Lets the batch in flight finish, so that the next owner need not repeat it.

        Bounded by half the rebalance timeout. Whatever goes wrong here aiokafka only logs, so nothing relies on it.
        """
        self._joined = False
        if self._in_flight is not None:
            await asyncio.wait({self._in_flight.settled}, timeout=self._settings.rebalance_timeout_s / 2)
        for tp in revoked:
            self._next.pop(tp, None)
            self._unadopted.discard(tp)
        self._ends.lag.forget(revoked)
        await self._commit()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Notes the partitions. They stay paused until the loop knows their stored offsets."""
        assigned = set(assigned)
        log.info("partitions assigned", partitions=sorted(tp.partition for tp in assigned))
        metrics.REBALANCES.inc()
        self._membership.joined(self._consumer._coordinator.member_id, time.monotonic())
        self._next.clear()  # all that was ours before was revoked: aiokafka's protocol is the eager one
        self._unadopted.clear()
        self._committable.clear()
        self._readopt(assigned)
        self._joined = True
        self._last_turn = time.monotonic()  # in a long rebalance it could not turn

    def _readopt(self, partitions: Iterable[TopicPartition]) -> None:
        ours = set(partitions) & self._consumer.assignment()
        for tp in partitions:
            self._next.pop(tp, None)
        self._consumer.pause(*ours)
        self._unadopted |= ours

    async def _adopt(self) -> None:
        """Goes on, in newly assigned partitions, from the offsets stored with the rows."""
        if not self._unadopted:
            return
        await self._settle_in_flight()
        partitions, self._unadopted = self._unadopted, set()
        try:
            await self._identity.check(self._consumer._client)
            stored = await self._store.next_offsets(partitions)
            async with asyncio.timeout(LONGEST_ANSWER_S * 2):
                first = await self._consumer.beginning_offsets(partitions)
                end = await self._consumer.end_offsets(partitions)
        except (Unavailable, KafkaError, TimeoutError) as error:
            reason = error if isinstance(error, Unavailable) else meaning(error, self._settings)
            if not isinstance(reason, Unavailable):
                raise reason from error
            self._unadopted |= partitions
            await self._wait_out(reason, 5)
            return
        for tp in (partitions & self._consumer.assignment()) - self._unadopted:
            self._go_on(tp, stored[tp], first[tp], end[tp])
        self._waiting = None

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
        self._ends.lag.go_on(tp, max(first, stored or 0))
        self._consumer.seek(tp, max(first, stored or 0))
        self._consumer.resume(tp)

    @Service.timer(CHECK_TOPIC_EVERY_S)
    async def _check_topic(self) -> None:
        if not self.should_stop:
            await self._identity.check_again(self._consumer._client)

    # What others want to know: how far we are behind, and where we are in Kafka's eyes. Never for us

    @Service.task
    async def _look_around(self) -> None:
        while not self.should_stop:
            metrics.PARTITIONS.set(len(self._next))
            await self._ends.look(self._consumer)
            if not self._ends.away:
                await self._commit()
            await self.sleep(LOOK_EVERY_S)

    async def _commit(self) -> None:
        mine = self._consumer.assignment()
        self._committable = {tp: offset for tp, offset in self._committable.items() if tp in mine}
        offsets = self._committable.copy()
        if not offsets:
            return
        try:
            async with asyncio.timeout(LONGEST_ANSWER_S):
                await self._consumer.commit(offsets)
        except (KafkaError, TimeoutError):
            metrics.COMMIT_FAILURES.inc()
            return
        self._committable = {tp: o for tp, o in self._committable.items() if offsets.get(tp) != o}
