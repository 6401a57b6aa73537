"""Takes the records of one stream from Kafka: a member of the consumer group, which shares its partitions among lanes.

The truth about what was applied is `consumed_offset` in PostgreSQL, moved with the rows by compare-and-swap. How this
module handles rebalances and pauses only saves work: correctness does not depend on it. Each lane's Partitions
guarantees that no record is left out.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import ConsumerStoppedError
from mode import Service

from worker.errors import BreakerOpen
from worker.intake.breaker import Breaker
from worker.intake.commits import Commits
from worker.intake.consumer import create_consumer, start
from worker.intake.departure import depart, leaves_for_good
from worker.intake.lane import Lane, Shared
from worker.intake.log_watch import LogWatch
from worker.intake.membership import Membership
from worker.intake.topic_identity import TopicIdentity
from worker.kafka.topic_id import fetch_topic_id
from worker.metrics import prometheus as metrics
from worker.settings import Settings
from worker.stream.sink import Handover, Sink
from worker.stream.stream import Stream

log = structlog.get_logger("intake")

WATCH_LOG_EVERY_S = 1.0
CHECK_TOPIC_EVERY_S = 1.0
FINISH_WITHIN_S = 5.0  # at a stop; a batch takes milliseconds


class Intake(Service, ConsumerRebalanceListener):  # type: ignore[misc]
    """Owns the consumer of a stream, and a lane for each sink. It does not interpret the records."""

    def __init__(
        self,
        settings: Settings,
        stream: Stream,
        hand_over: Callable[[Handover], Awaitable[object]],
        sinks: Sequence[Sink],
        **service: Any,
    ) -> None:
        super().__init__(**service)
        self.stream = stream
        self._settings = settings
        self._hand_over = hand_over
        self._sinks = sinks
        self._lanes: list[Lane] = []
        self._running: set[asyncio.Future[None]] = set()
        self._identity = TopicIdentity(stream)
        self._watch = LogWatch(settings, stream)
        self._membership = Membership(settings)
        self._commits = Commits()
        self._joined = False  # from an assignment, which may be empty, until the next rebalance
        self._breaker = Breaker(
            window=settings.breaker_window,
            share_percent=settings.breaker_share,
            consecutive=settings.breaker_consecutive,
        )

    @property
    def owned(self) -> set[TopicPartition]:
        """Returns the partitions that this worker reads now."""
        return set().union(*(lane.partitions.owned for lane in self._lanes))

    @property
    def positions(self) -> dict[TopicPartition, tuple[int, int]]:
        """Returns what is applied and where the log ends, by its last look, of the partitions that are read here."""
        return self._watch.lag.read_positions()

    @property
    def breaker_open(self) -> BreakerOpen | None:
        """Returns why nothing is taken any more; None while the breaker is closed."""
        return self._breaker.opened

    @property
    def waiting_for(self) -> str | None:
        """Returns why nothing moves now, if that is known."""
        unsettled = None if self._joined else "the consumer group has not settled"
        waiting = next((lane.waiting for lane in self._lanes if lane.waiting), None)
        return str(self.breaker_open) if self.breaker_open else self._watch.away or waiting or unsettled

    def silent_s(self, now: float) -> float:
        """Returns for how long a lane has not turned; 0 in a rebalance, in which getmany waits for Kafka."""
        return now - min(lane.last_turn for lane in self._lanes) if self._joined else 0

    @property
    def dead(self) -> bool:
        """Says whether a lane has ended while the service runs."""
        return any(lane.done() for lane in self._running)

    async def topic_id(self) -> UUID | None:
        """Asks Kafka for the topic's id. None: the broker is older than topic ids."""
        return await fetch_topic_id(self._consumer._client, self.stream.topic)

    async def ends(self) -> dict[TopicPartition, int]:
        """Asks where each partition of the topic that has records ends now, also those of other workers."""
        topic = self.stream.topic
        # Known since the consumer started, because it waits for the topics that it is subscribed to.
        partitions = [TopicPartition(topic, p) for p in self._consumer.partitions_for_topic(topic)]
        first = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        return {tp: end for tp, end in ends.items() if end > first[tp]}

    async def on_start(self) -> None:
        self._consumer = create_consumer(self._settings, self.stream, self)
        shared = Shared(
            settings=self._settings,
            stream=self.stream,
            consumer=self._consumer,
            hand_over=self._hand_over,
            identity=self._identity,
            watch=self._watch,
            breaker=self._breaker,
            membership=self._membership,
            commits=self._commits,
            return_strays=self._return_strays,
        )
        self._lanes = [Lane(number, shared, sink) for number, sink in enumerate(self._sinks)]
        await start(self._consumer, self._settings)

    async def on_started(self) -> None:
        self._running = {self.add_future(self._run(lane)) for lane in self._lanes}

    async def on_stop(self) -> None:
        """Waits for the batches in flight, commits to Kafka where the next worker goes on, and leaves the group.

        A batch that is not applied within FINISH_WITHIN_S is given up: the next worker reads it again.
        """
        for_good = asyncio.create_task(self._leaves_for_good(), name="whether this worker leaves for good")
        for lane in self._lanes:
            lane.stop()
        if self._running:  # it may be stopped before it has started
            _, late = await asyncio.wait(self._running, timeout=FINISH_WITHIN_S)
            if late:
                log.warning("PostgreSQL is slow or away: the batches in flight are left to the next worker")
                # Ends their statements, and so the lanes: what a lane has heard to be applied is committed below.
                await asyncio.gather(*(sink.close() for sink in self._sinks))
                await asyncio.wait(late, timeout=1)
        await self._commits.send(self._consumer)
        await depart(self._consumer, self._settings, for_good=await for_good and not self._watch.away)

    async def _leaves_for_good(self) -> bool:
        return self._settings.group_instance_id is not None and await leaves_for_good(self._settings)

    async def _run(self, lane: Lane) -> None:
        while not self.should_stop:
            try:
                await (lane.idle_turn() if self._breaker.opened else lane.turn())
            except BreakerOpen:  # the breaker has logged it; the next turn is an idle one
                pass
            except ConsumerStoppedError:  # the turn outlasted the time that a stop gives it
                if not self.should_stop:
                    raise

    # Partitions come and go

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Lets the batches in flight finish, so that the next owner need not repeat them.

        Bounded by half the rebalance timeout. aiokafka only logs what goes wrong here, so nothing relies on it.
        """
        self._joined = False
        if in_flight := {lane.in_flight for lane in self._lanes if lane.in_flight}:
            await asyncio.wait(in_flight, timeout=self._settings.rebalance_timeout_s / 2)
        for lane in self._lanes:
            lane.partitions.revoke(revoked)
        self._watch.lag.forget(revoked)
        await self._commits.send(self._consumer)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Shares the partitions among the lanes, which lose all others: aiokafka has the eager protocol only."""
        in_order = sorted(assigned)
        log.info("partitions assigned", topic=self.stream.topic, partitions=[tp.partition for tp in in_order])
        metrics.REBALANCES.inc()
        self._membership.note_join(self._consumer._coordinator.member_id, time.monotonic())
        self._commits.clear()
        for number, lane in enumerate(self._lanes):
            lane.assign(set(in_order[number :: len(self._lanes)]))
        self._joined = True

    def _return_strays(self, partitions: Iterable[TopicPartition]) -> None:
        for lane in self._lanes:
            lane.partitions.reread(partitions)

    @Service.timer(CHECK_TOPIC_EVERY_S)
    async def _check_topic(self) -> None:
        if not self.should_stop:
            applied = [lane.partitions.lost.copy_offsets() for lane in self._lanes]
            await self._identity.check_again(self._consumer._client)
            for lane, stored in zip(self._lanes, applied, strict=True):
                lane.partitions.look_at_leaders(stored)

    # For lag tools and operators, and for a worker that starts after PostgreSQL has lost commits

    @Service.task
    async def _watch_log(self) -> None:
        while not self.should_stop:
            metrics.PARTITIONS.labels(self.stream.group, self.stream.topic).set(len(self.owned))
            await self._watch.poll(self._consumer)
            if not self._watch.away:
                await self._commits.send(self._consumer)
            await self.sleep(WATCH_LOG_EVERY_S)
