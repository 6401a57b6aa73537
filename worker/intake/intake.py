"""Kafka in: a member of the consumer group, whose partitions it shares among its lanes.

The truth about what was applied is `consumed_offset` in PostgreSQL, moved with the rows by compare-and-swap. What
this module does about rebalances and pauses is for speed and quiet. What lanes must get right themselves: a record
that was fetched is handed over, or its partition is read again from the stored offset (`readopt`).
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import ChannelT
from mode import Service

from events.consumer import close_consumer
from worker.errors import BreakerOpen
from worker.intake.breaker import Breaker
from worker.intake.consumer import create_consumer, start
from worker.intake.lane import LOOK_EVERY_S, Lane, Shared
from worker.intake.log_watch import LONGEST_ANSWER_S, LogWatch
from worker.intake.membership import Membership
from worker.intake.topic_identity import TopicIdentity
from worker.metrics import prometheus as metrics
from worker.progress.store import Store
from worker.settings import Settings
from worker.stream.batch import Batch

log = structlog.get_logger("intake")

CHECK_TOPIC_EVERY_S = 3.0


class Intake(Service, ConsumerRebalanceListener):  # type: ignore[misc]
    """Owns the consumer, and a lane for each store."""

    def __init__(self, settings: Settings, batches: ChannelT[Batch], stores: Sequence[Store], **service: Any) -> None:
        super().__init__(**service)
        self._settings = settings
        self._batches = batches
        self._stores = stores
        self._lanes: list[Lane] = []
        self._running: set[asyncio.Future[None]] = set()
        self._identity = TopicIdentity(settings)
        self._ends = LogWatch(settings)
        self._membership = Membership(settings)
        self._committable: dict[TopicPartition, int] = {}
        self._joined = False  # the group has told which partitions are ours, perhaps none; not so in a rebalance
        self._breaker = Breaker(
            window=settings.breaker_window,
            share_percent=settings.breaker_share,
            consecutive=settings.breaker_consecutive,
        )

    @property
    def owned(self) -> set[TopicPartition]:
        """The partitions this worker reads now."""
        return set().union(*(lane.owned for lane in self._lanes))

    @property
    def breaker_open(self) -> BreakerOpen | None:
        """Why nothing is taken any more; None while the breaker is closed."""
        return BreakerOpen(str(self._breaker.opened)) if self._breaker.opened else None

    @property
    def waiting_for(self) -> str | None:
        """Why nothing moves at present, if that is known."""
        unsettled = None if self._joined else "the consumer group has not settled"
        waiting = next((lane.waiting for lane in self._lanes if lane.waiting), None)
        return str(self.breaker_open) if self.breaker_open else self._ends.away or waiting or unsettled

    def silent_s(self, now: float) -> float:
        """How long a lane has not turned; none of that in a rebalance, in which getmany waits for Kafka."""
        return now - min(lane.last_turn for lane in self._lanes) if self._joined else 0

    @property
    def dead(self) -> bool:
        """Whether a lane has ended, and nothing else has."""
        return any(lane.done() for lane in self._running)

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
        shared = Shared(
            settings=self._settings,
            consumer=self._consumer,
            batches=self._batches,
            identity=self._identity,
            ends=self._ends,
            breaker=self._breaker,
            membership=self._membership,
            committable=self._committable,
            give_back=self._give_back,
        )
        self._lanes = [Lane(number, shared, store) for number, store in enumerate(self._stores)]
        await start(self._consumer, self._settings)

    async def on_started(self) -> None:
        self._running = {self.add_future(self._run(lane)) for lane in self._lanes}

    async def on_stop(self) -> None:
        """Waits for the batches in flight, tells Kafka where the next worker goes on, and leaves the group."""
        for lane in self._lanes:
            lane.stop()
        if self._running:  # it may be stopped before it has started
            await asyncio.wait(self._running, timeout=self._settings.rebalance_timeout_s)
        await self._commit()
        await close_consumer(self._consumer)

    async def _run(self, lane: Lane) -> None:
        while not self.should_stop:
            with suppress(BreakerOpen):  # which was logged where it was found, and is seen in the next turn
                await (lane.idle_turn() if self._breaker.opened else lane.turn())

    # Partitions come and go

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Lets the batches in flight finish, so that the next owner need not repeat it.

        Bounded by half the rebalance timeout. Whatever goes wrong here aiokafka only logs, so nothing relies on it.
        """
        self._joined = False
        if in_flight := {lane.in_flight for lane in self._lanes if lane.in_flight}:
            await asyncio.wait(in_flight, timeout=self._settings.rebalance_timeout_s / 2)
        for lane in self._lanes:
            lane.revoke(revoked)
        self._ends.lag.forget(revoked)
        await self._commit()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Shares the partitions among the lanes; none has any other any more: aiokafka's protocol is the eager one."""
        in_order = sorted(assigned)
        log.info("partitions assigned", partitions=[tp.partition for tp in in_order])
        metrics.REBALANCES.inc()
        self._membership.joined(self._consumer._coordinator.member_id, time.monotonic())
        self._committable.clear()
        for number, lane in enumerate(self._lanes):
            lane.assign(set(in_order[number :: len(self._lanes)]))
        self._joined = True

    def _give_back(self, partitions: Iterable[TopicPartition]) -> None:
        for lane in self._lanes:
            lane.readopt(partitions)

    @Service.timer(CHECK_TOPIC_EVERY_S)
    async def _check_topic(self) -> None:
        if not self.should_stop:
            await self._identity.check_again(self._consumer._client)

    # What others want to know: how far we are behind, and where we are in Kafka's eyes. Never for us

    @Service.task
    async def _look_around(self) -> None:
        while not self.should_stop:
            metrics.PARTITIONS.set(len(self.owned))
            await self._ends.poll(self._consumer)
            if not self._ends.away:
                await self._commit()
            await self.sleep(LOOK_EVERY_S)

    async def _commit(self) -> None:
        mine = self._consumer.assignment()
        offsets = {tp: offset for tp, offset in self._committable.items() if tp in mine}
        if not offsets:
            return
        try:
            async with asyncio.timeout(LONGEST_ANSWER_S):
                await self._consumer.commit(offsets)
        except (KafkaError, TimeoutError):
            metrics.COMMIT_FAILURES.inc()
            return
        for tp, offset in offsets.items():
            if self._committable.get(tp) == offset:
                del self._committable[tp]
