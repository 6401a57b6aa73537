"""Keeps the partitions of one lane, and where it goes on in each of them."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from worker.errors import KafkaUnavailable, OffsetBeyondLog, Unavailable
from worker.intake.commits import Commits
from worker.intake.log_epochs import LogEpochs
from worker.intake.log_watch import LONGEST_ANSWER_S, LogWatch
from worker.intake.lost_commits import LostCommits
from worker.intake.topic_identity import TopicIdentity
from worker.kafka.failures import explain_consumer_error
from worker.metrics import prometheus as metrics
from worker.settings import Settings
from worker.stream.batch import Batch, Offsets, Span, Spans
from worker.stream.sink import OffsetsMoved, Sink, StoredOffset
from worker.stream.stream import Stream

log = structlog.get_logger("intake")


class Partitions:
    """Moves each assigned partition to reading, and back when it has to be read again.

        assign ──► unresolved (paused) ──resume──► reading (its stored offset is known) ──revoke──► gone
                        ▲                             │
                        └───────────reread────────────┘

    Invariant: a record that was fetched is handed over, or its partition is read again from the stored offset.
    The consumer group may assign and revoke at any time, also between two lines of a lane's turn.
    """

    def __init__(
        self,
        settings: Settings,
        stream: Stream,
        consumer: AIOKafkaConsumer,
        identity: TopicIdentity,
        watch: LogWatch,
        commits: Commits,
        sink: Sink,
    ) -> None:
        self._settings = settings
        self._stream = stream
        self._consumer = consumer
        self._identity = identity
        self._watch = watch
        self._commits = commits
        self._sink = sink
        self._assigned: set[TopicPartition] = set()
        self._unresolved: set[TopicPartition] = set()
        self._next: dict[TopicPartition, int | None] = {}  # of those that are read
        self._epochs = LogEpochs(consumer, identity, stream.rewind_options)
        self.lost = LostCommits()

    @property
    def assigned(self) -> set[TopicPartition]:
        """Returns the lane's partitions, read or not."""
        return self._assigned

    @property
    def unresolved(self) -> set[TopicPartition]:
        """Returns the partitions whose stored offset is not known yet."""
        return self._unresolved

    @property
    def owned(self) -> set[TopicPartition]:
        """Returns the partitions that are read now."""
        return set(self._next)

    @property
    def next(self) -> Offsets:
        """Returns the offset that the next record of each partition must follow on; None: nothing is stored."""
        return self._next

    def assign(self, partitions: set[TopicPartition]) -> None:
        """Makes these the lane's partitions, and no others. They stay paused until their stored offsets are known."""
        self.revoke(self._assigned | partitions)  # a batch that was settled since has left something of the new ones
        self._assigned = partitions
        self.reread(partitions)

    def revoke(self, partitions: Collection[TopicPartition]) -> None:
        for tp in partitions:
            self._assigned.discard(tp)
            self._next.pop(tp, None)
            self._unresolved.discard(tp)
        self._epochs.forget(partitions)
        self.lost.forget(partitions)

    def reread(self, partitions: Iterable[TopicPartition]) -> None:
        """Has those of these partitions that are the lane's read again from their stored offsets."""
        partitions = set(partitions)
        ours = self._keep_held(partitions)
        for tp in partitions:
            self._next.pop(tp, None)
        self._consumer.pause(*ours)
        self._unresolved |= ours

    def advance(self, spans: Spans) -> None:
        """Notes that the records of these spans are taken."""
        self._next.update({tp: span.next for tp, span in spans.items() if tp in self._next})

    def split(self, batch: Batch) -> list[Batch]:
        """Completes the spans of a batch; returns what PostgreSQL has lost and is applied again before the rest."""
        batch.spans = {tp: replace(span, leader_epoch=self._epochs.get(tp)) for tp, span in batch.spans.items()}
        return self.lost.split(batch)

    def look_at_leaders(self, applied: Mapping[TopicPartition, int]) -> None:
        """Has partitions read again whose leader has changed, because their log may have gone back.

        `applied` is what `lost.copy_offsets` was before Kafka was asked for the leaders.
        """
        self.reread(self._epochs.look(applied))

    async def look_at_offsets(self) -> None:
        """Has partitions read again whose stored offset is not what this worker stored. Call it between batches.

        PostgreSQL may have lost commits. Raises Unavailable.
        """
        if not self._next:
            return
        stored = await self._sink.stored_offsets(self._next.copy())
        found = {tp: offset and offset.next for tp, offset in stored.items()}
        self.reread(tp for tp, offset in self._next.copy().items() if found.get(tp, offset) != offset)

    def pause(self) -> None:
        """Has the next fetch return none of the lane's records."""
        self._consumer.pause(*self._keep_held(self._assigned))

    def unpause(self) -> None:
        """Ends `pause`: those that are read are fetched again."""
        self._consumer.resume(*self._keep_held(self._next))

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Moves the consumer, in those that are read, to these positions."""
        for tp in self._keep_held(positions.keys() & self._next.keys()):
            self._consumer.seek(tp, positions[tp])

    async def resume(self) -> None:
        """Starts to read the unresolved partitions at their stored offsets.

        Raises Unavailable, and they stay unresolved; SetupError for a log that does not fit the stored offset.
        """
        if not self._unresolved:
            return
        partitions, self._unresolved = self._unresolved, set()
        try:
            await self._identity.check(self._consumer._client, self._sink)
            async with asyncio.timeout(LONGEST_ANSWER_S):  # before the stored ones, which are never behind
                committed = await self._consumer._coordinator.fetch_committed_offsets(list(partitions))
            stored = await self._sink.stored_offsets(partitions)
            moved = await self._go_back(stored)
            async with asyncio.timeout(LONGEST_ANSWER_S):
                first = await self._consumer.beginning_offsets(partitions)
                end = await self._consumer.end_offsets(partitions)
        except Unavailable:
            self._unresolved |= partitions & self._assigned
            raise
        except (KafkaError, TimeoutError) as error:
            self._unresolved |= partitions & self._assigned
            raise explain_consumer_error(error, self._settings) from error
        for tp in self._keep_held(partitions) - self._unresolved:
            found = stored[tp]
            offset = moved.get(tp, found.next if found else None)
            known = committed[tp].offset if tp in committed and tp not in moved else 0
            self._note_lost(tp, offset or 0, first[tp], min(known, end[tp]))
            self._start_at(tp, offset, first[tp], end[tp])

    async def _go_back(self, stored: Mapping[TopicPartition, StoredOffset | None]) -> dict[TopicPartition, int]:
        """Moves the stored offsets of logs that went back to where they differ, durably, and returns them.

        Where no leader epoch is stored it stores that of now. Raises Unavailable, KafkaError or TimeoutError.
        """
        async with asyncio.timeout(LONGEST_ANSWER_S):
            differs = await self._epochs.compare(stored)
        differs = {tp: differs[tp] for tp in self._keep_held(differs)}
        spans = {
            tp: Span(offset.next, differs.get(tp, offset.next), self._epochs.get(tp))
            for tp, offset in stored.items()
            if offset and (tp in differs or (offset.leader_epoch is None and self._epochs.get(tp) is not None))
        }
        if not spans:
            return {}
        if differs:
            await self._commit_back(differs)
        if isinstance(await self._sink.apply_batch(Batch([], spans)), OffsetsMoved):
            raise KafkaUnavailable("another worker has moved the stored offsets")
        for tp in differs:
            self._say_went_back(tp, spans[tp])
        return differs

    async def _commit_back(self, differs: Mapping[TopicPartition, int]) -> None:
        """Moves Kafka's committed offsets first: ahead of the stored ones they would say that commits were lost."""
        self._commits.forget(differs)
        try:
            async with asyncio.timeout(LONGEST_ANSWER_S):
                await self._consumer.commit(differs)
        except CommitFailedError as error:
            raise KafkaUnavailable("the consumer group is rebalancing") from error

    def _say_went_back(self, tp: TopicPartition, span: Span) -> None:
        again = (span.expected or 0) - span.next
        agreed = self._epochs.find_agreed(tp)
        if agreed is not None and agreed <= span.next:  # all that is read again was applied after the last look
            log.info(
                "the leader changed: read again what it may not have",
                topic=tp.topic,
                partition=tp.partition,
                events=again,
            )
        else:
            log.error(
                "Kafka has lost acknowledged records: the log went back, and is read again from where it differs",
                topic=tp.topic,
                partition=tp.partition,
                first=span.next,
                applied_before=again,
            )
            metrics.LOG_WENT_BACK.inc(again)
        self.lost.go_back(tp, span.next)

    def _note_lost(self, tp: TopicPartition, stored: int, first: int, committed: int) -> None:
        """Says if offsets were stored that PostgreSQL does not have any more; they are applied again now."""
        start = max(first, stored)
        if loss := self.lost.go_on(tp, start, committed, stored):
            log.error(
                "PostgreSQL has lost commits: their events are applied again",
                topic=tp.topic,
                partition=tp.partition,
                first=start,
                events=loss.lost,
            )
            metrics.COMMITS_LOST.inc(loss.lost)

    def _keep_held(self, partitions: Iterable[TopicPartition]) -> set[TopicPartition]:
        """Returns those that are both the lane's and the consumer's: a rebalance changes one before the other."""
        held: set[TopicPartition] = set(partitions) & self._assigned & self._consumer.assignment()
        return held

    def _start_at(self, tp: TopicPartition, stored: int | None, first: int, end: int) -> None:
        if stored is not None and stored > end:
            raise OffsetBeyondLog(
                f"{tp.topic}[{tp.partition}] ends at {end} but {stored} is stored as applied: the topic was recreated "
                "or truncated. To read it from its start, which is safe at any time: stop the workers, then "
                f"`course-progress rewind --to earliest --partition {tp.partition} {self._stream.rewind_options}`"
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
        start = max(first, stored or 0)
        self._watch.lag.go_on(tp, start)
        self._consumer.seek(tp, start)
        self._consumer.resume(tp)
