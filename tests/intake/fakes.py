"""Stand-ins for what a lane works with: a consumer, a topic's identity, a sink, and an agent."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID, uuid4

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from prometheus_client import REGISTRY

from worker.intake.breaker import Breaker
from worker.intake.commits import Commits
from worker.intake.lane import Lane, Shared
from worker.intake.log_watch import LogWatch
from worker.intake.membership import Membership
from worker.intake.partitions import Partitions
from worker.kafka.topic_id import Leader
from worker.settings import Settings
from worker.stream.batch import Batch
from worker.stream.outcome import Outcome, Skipped
from worker.stream.sink import Applied, Handover, OffsetsMoved, StoredOffset
from worker.stream.stream import Stream

TOPIC = "notes"
P0, P1 = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)


def record(tp: TopicPartition, offset: int, value: bytes | None = b"") -> ConsumerRecord:
    return ConsumerRecord(*tp, offset, 0, 0, None, value, None, 0, 0, ())


def log_of(length: int, first: int = 0) -> list[ConsumerRecord]:
    """The records of P0 from offset `first` on."""
    return [record(P0, offset) for offset in range(first, first + length)]


def counted(metric: str) -> float:
    """What this process has counted under the name of a metric."""
    return REGISTRY.get_sample_value(metric) or 0


def skip(_: ConsumerRecord) -> Outcome:
    return Skipped("")


class FakeConsumer:
    """Hands out the records of its logs, from where it stands in each partition."""

    def __init__(self, logs: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        self.logs = logs
        self.assigned = set(logs)
        self.position_of: dict[TopicPartition, int] = {}
        self.paused_ones: set[TopicPartition] = set()
        self._client = None
        self.committed: dict[TopicPartition, OffsetAndMetadata] = {}
        self._coordinator = self

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def pause(self, *partitions: TopicPartition) -> None:
        self.paused_ones.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.paused_ones.difference_update(partitions)

    def paused(self) -> set[TopicPartition]:
        return self.paused_ones

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.position_of[tp] = offset

    async def position(self, tp: TopicPartition) -> int:
        return self.position_of[tp]

    async def fetch_committed_offsets(self, _: list[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        return self.committed

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.committed |= {tp: OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.logs[tp][0].offset if self.logs[tp] else 0 for tp in partitions}

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.logs[tp][-1].offset + 1 if self.logs[tp] else 0 for tp in partitions}

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int = 500
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        await asyncio.sleep(0)
        fetched = {
            tp: [r for r in self.logs[tp] if r.offset >= self.position_of[tp]]
            for tp in partitions
            if tp in self.position_of and tp not in self.paused_ones
        }
        self.position_of |= {tp: records[-1].offset + 1 for tp, records in fetched.items() if records}
        return {tp: records for tp, records in fetched.items() if records}


class FakeIdentity:
    """A topic that is always the one that the offsets count in."""

    def __init__(self) -> None:
        self.leaders: dict[int, Leader] | None = None

    async def check(self, *_: Any) -> None:
        pass


class FakeSink:
    """Stored offsets in a dictionary. `fail_with` is raised, one error per call, before anything works."""

    def __init__(self, stored: dict[TopicPartition, int | None] | None = None) -> None:
        self.stored = stored or {}
        self.fail_with: list[Exception] = []

    async def apply_batch(self, batch: Batch) -> Applied | OffsetsMoved:
        return Applied(0)

    async def stored_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, StoredOffset | None]:
        if self.fail_with:
            raise self.fail_with.pop(0)
        found = {tp: self.stored.get(tp) for tp in partitions}
        return {tp: None if offset is None else StoredOffset(offset) for tp, offset in found.items()}

    async def known_topic(self, topic: str, topic_id: UUID) -> UUID:
        return topic_id

    async def close(self) -> None:
        pass


class StoringSink(FakeSink):
    """Moves the offsets of a batch, as every sink does."""

    def __init__(self, stored: dict[TopicPartition, StoredOffset | None]) -> None:
        super().__init__()
        self.offsets = stored

    async def stored_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, StoredOffset | None]:
        return {tp: self.offsets.get(tp) for tp in partitions}

    async def apply_batch(self, batch: Batch) -> Applied:
        self.offsets |= {tp: StoredOffset(span.next, span.leader_epoch) for tp, span in batch.spans.items()}
        return Applied(0)


class FakeAgent:
    """The channel and the agent behind it: settles each handover at once, by default as applied."""

    def __init__(self, outcome: Callable[[Batch], Applied | OffsetsMoved | Exception] = lambda _: Applied(0)) -> None:
        self.taken: list[Batch] = []
        self._outcome = outcome

    async def put(self, handover: Handover) -> None:
        self.taken.append(handover.batch)
        handover.resolve(self._outcome(handover.batch))


def partitions_over(consumer: FakeConsumer, sink: FakeSink, identity: FakeIdentity | None = None) -> Partitions:
    """The partitions of a lane, none assigned yet."""
    settings, stream = Settings(), Stream(TOPIC, "notes-group", skip)
    them: Any = (settings, stream, consumer, identity or FakeIdentity(), LogWatch(settings, stream), Commits(), sink)
    return Partitions(*them)


def lanes_over(consumer: Any, sink: Any, agent: Any, decode: Callable[[Any], Outcome] = skip) -> list[Lane]:
    """Two lanes of one intake, without partitions."""
    settings = Settings(consumer_group=f"group-{uuid4().hex}")
    lanes: list[Lane] = []

    def return_strays(partitions: Iterable[TopicPartition]) -> None:
        for lane in lanes:
            lane.partitions.reread(partitions)

    identity: Any = FakeIdentity()
    stream = Stream(TOPIC, settings.consumer_group, decode)
    shared = Shared(
        settings=settings,
        stream=stream,
        consumer=consumer,
        hand_over=agent.put,
        identity=identity,
        watch=LogWatch(settings, stream),
        breaker=Breaker(window=100, share_percent=50, consecutive=3),
        membership=Membership(settings),
        commits=Commits(),
        return_strays=return_strays,
    )
    lanes += [Lane(number, shared, sink) for number in range(2)]
    return lanes
