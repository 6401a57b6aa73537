"""Runs one lane of an intake: it takes a batch of its partitions, sees it settled, and only then takes the next.

An intake has two. While PostgreSQL works for one, the other fetches, decodes and folds (docs/decisions/0021).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from worker.errors import Bug, Unavailable
from worker.intake.bad_headers import fetch_with_bad_headers
from worker.intake.breaker import Breaker
from worker.intake.commits import Commits
from worker.intake.log_watch import LogWatch
from worker.intake.membership import Membership
from worker.intake.partitions import Partitions
from worker.intake.settle import Settler
from worker.intake.topic_identity import TopicIdentity
from worker.intake.unknown_types import OF_THIS_PROCESS, UnknownTypes
from worker.kafka.failures import explain_consumer_error
from worker.kafka.inflation import InflationLimit, limit_inflation
from worker.metrics import prometheus as metrics
from worker.settings import Settings
from worker.stream.batch import Batch, gather, skip_over
from worker.stream.cut_record import LARGEST_RECORD, cut
from worker.stream.outcome import Outcome, Record
from worker.stream.sink import Applied, Handover, OffsetsMoved, Sink
from worker.stream.stream import Stream

LANES = 2
FETCH_WAIT_S = 0.2
LARGE_VALUE = 64 * 1024  # bytes, of which JSON of many small parts takes some ms to read
KAFKA_PAUSE_S = 1.0  # after an error that passes by itself
COMPARE_EVERY_S = 5.0  # the stored offsets with those that the lane knows
RESUME_ATTEMPT = 5  # the back-off of a resume that failed is that of a fifth attempt


@dataclass(frozen=True, slots=True)
class Shared:
    """Holds what all lanes of an intake share."""

    settings: Settings
    stream: Stream
    consumer: AIOKafkaConsumer
    hand_over: Callable[[Handover], Awaitable[object]]  # to the agent, through its channel
    identity: TopicIdentity
    watch: LogWatch
    breaker: Breaker
    membership: Membership
    commits: Commits
    return_strays: Callable[[Iterable[TopicPartition]], None]  # has each lane read those of its own again
    rejecting: asyncio.Lock = field(default_factory=asyncio.Lock)
    unknown_types: UnknownTypes = OF_THIS_PROCESS


class Lane:
    """Runs one turn after the other: fetch, then settle. Its partitions may come and go in the middle of a turn."""

    def __init__(self, number: int, shared: Shared, sink: Sink) -> None:
        """`sink` is this lane's alone, because a connection does one statement at a time."""
        self._number = number
        self._shared = shared
        self._consumer = shared.consumer
        self._sink = sink
        self._stopping = asyncio.Event()
        self.partitions = Partitions(
            shared.settings, shared.stream, shared.consumer, shared.identity, shared.watch, shared.commits, sink
        )
        self._settler = Settler(self._hand_over, self.partitions.reread, self._wait, self._stopping)
        self.in_flight: asyncio.Future[Applied | OffsetsMoved] | None = None  # `settled` of the batch with the agent
        self.last_turn = self._compared = time.monotonic()
        self._largest_begun = 0  # bytes of the largest batch, inflated, that the last fetch with one began

    @property
    def waiting(self) -> str | None:
        """Returns why a batch, or the start in a partition, is repeated; None when nothing is."""
        return self._settler.waiting

    def assign(self, partitions: set[TopicPartition]) -> None:
        """Makes these the lane's partitions, and no others."""
        self.partitions.assign(partitions)
        self.last_turn = time.monotonic()  # in a long rebalance it could not turn

    def stop(self) -> None:
        """Ends repetitions: a batch that cannot be applied now is left to the next worker."""
        self._stopping.set()

    async def turn(self) -> None:
        """Takes one batch, if there is one, and sees it settled. Raises BreakerOpen before it writes a dead letter."""
        await self._resume(compare=True)
        for part in self.partitions.split(await self._fetch()):
            await self._settler.settle(part)
        self.last_turn = time.monotonic()

    async def idle_turn(self) -> None:
        """Takes nothing, and stays in the group: its partitions, and their outbox, are still this worker's."""
        await self._resume()
        await self._take_nothing(FETCH_WAIT_S)
        self.last_turn = time.monotonic()

    async def _resume(self, compare: bool = False) -> None:
        try:
            if compare and time.monotonic() - self._compared > COMPARE_EVERY_S:
                await self.partitions.look_at_offsets()
                self._compared = time.monotonic()
            await self.partitions.resume()
        except Unavailable as error:
            await self._settler.back_off(error, RESUME_ATTEMPT)
        else:
            self._settler.end_wait()  # also of a batch whose partitions were revoked: nothing is repeated any more

    # Fetch

    async def _fetch(self) -> Batch:
        fetched = await self._getmany(FETCH_WAIT_S)
        if fetched:
            metrics.THROUGHPUT.note_taken(self._name)
        with metrics.stage("decode"):
            batch = await self._decode(fetched)
        batch.spans |= skip_over(await self._read_positions(fetched), self.partitions.next)
        self._shared.watch.lag.note_taken(batch)
        self._shared.unknown_types.note(self._shared.stream, batch.entries)  # before they are settled, and gone
        self.partitions.advance(batch.spans)
        return batch

    async def _decode(self, fetched: dict[TopicPartition, list[Record]]) -> Batch:
        """Decodes what was fetched. Between large records the event loop runs, or Kafka misses heartbeats."""
        decode = self._shared.stream.decode
        if self._largest_begun <= LARGEST_RECORD:
            return gather(fetched, self.partitions.next, decode)
        expected = dict(self.partitions.next)
        entries: list[tuple[Record, Outcome]] = []
        for tp, records in fetched.items():
            for record in records:
                entries += gather({tp: [record]}, expected, decode).entries
                if len(record.value or b"") > LARGE_VALUE:
                    await asyncio.sleep(0)
        return Batch.of(entries, expected)

    async def _getmany(self, timeout_s: float) -> dict[TopicPartition, list[Record]]:
        self._shared.membership.require_alone()
        asked = self.partitions.assigned.copy()
        if not asked:  # without partitions, getmany returns the records of all
            await self._sleep(timeout_s)
            return {}
        try:
            with limit_inflation() as limit:
                fetched: dict[TopicPartition, list[Record]] = await self._consumer.getmany(
                    *asked, timeout_ms=int(timeout_s * 1000), max_records=self._shared.settings.batch_size
                )
        except NoOffsetForPartitionError:  # of a partition that is not resumed yet: its position is about to be set
            return {}
        except OffsetOutOfRangeError as error:  # the log was truncated or recreated: resuming finds out which
            self.partitions.reread(error.args[0])
            return {}
        except (UnicodeDecodeError, CorruptRecordException):
            if asked <= self.partitions.assigned:
                return await self._getmany_with_bad_headers()
            # A rebalance overtook this, and aiokafka dropped what it had taken: each owner reads its own again.
            self._shared.return_strays(asked)
            return {}
        except KafkaError as error:
            await self._pause_for_kafka(error)
            return {}
        if strays := fetched.keys() - self.partitions.assigned:  # a rebalance gave them to another lane meanwhile
            self._shared.return_strays(strays)
        if self._may_have_large(limit):
            fetched = {tp: list(map(cut, records)) for tp, records in fetched.items()}
        return {tp: records for tp, records in fetched.items() if tp in self.partitions.assigned}

    def _may_have_large(self, limit: InflationLimit) -> bool:
        """Tells whether a batch that this fetch began, or one before it left unended, is as large as a large record."""
        before = self._largest_begun
        self._largest_begun = limit.largest_taken or before
        return max(before, limit.largest_taken) > LARGEST_RECORD

    async def _getmany_with_bad_headers(self) -> dict[TopicPartition, list[Record]]:
        """Fetches what aiokafka cannot hand out, and moves the consumer behind it.

        aiokafka has dropped what it had taken of other partitions, so each goes on from where this lane is.
        """
        start = dict(self.partitions.next)
        try:
            positions, found = await fetch_with_bad_headers(self._consumer, start, self._shared.settings.batch_size)
        except KafkaError as error:
            self.partitions.reread(start)
            if not isinstance(error, OffsetOutOfRangeError):  # resuming finds out what that means
                await self._pause_for_kafka(error)
            return {}
        if not found and self.partitions.next == start:
            raise Bug(f"aiokafka cannot read a record behind one of {positions}, and neither can this worker")
        self.partitions.seek(positions)
        return found

    async def _pause_for_kafka(self, error: KafkaError) -> None:
        """Waits a moment for an error that passes by itself; raises SetupError for one that does not."""
        meaning = explain_consumer_error(error, self._shared.settings)
        if not isinstance(meaning, Unavailable):
            raise meaning from error
        self._shared.watch.note_kafka(str(meaning))
        await self._sleep(KAFKA_PAUSE_S)

    async def _read_positions(self, fetched: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Returns where the consumer stands in the other partitions: behind a transaction's markers, for instance."""
        idle = self.partitions.owned.difference(fetched)
        try:
            return {tp: await self._consumer.position(tp) for tp in idle - self._consumer.paused()} if idle else {}
        except IllegalStateError:  # a rebalance has begun
            return {}

    # Settle

    async def _hand_over(self, batch: Batch) -> Applied | OffsetsMoved:
        """Gives the batch to the agent, and returns its result. Raises its error, or BreakerOpen.

        Only one batch with rejected records is with the agents at a time, because the breaker has to count it before
        it judges the next.
        """
        async with self._shared.rejecting if batch.rejected else nullcontext():
            self.last_turn = time.monotonic()  # a lane that waits for the other lane is not stuck
            self._shared.breaker.require_closed([] if batch.dead_letters_written else batch.entries)
            self.partitions.lost.hand_over(batch.spans)
            result = await self._ask_agent(batch)
            if isinstance(result, Applied):
                self._note_applied(batch, result)
            return result

    async def _ask_agent(self, batch: Batch) -> Applied | OffsetsMoved:
        settled: asyncio.Future[Applied | OffsetsMoved] = asyncio.get_running_loop().create_future()
        self.in_flight = settled
        try:
            await self._shared.hand_over(Handover(batch, self._sink, settled))
            return await settled
        finally:
            self.in_flight = None

    def _note_applied(self, batch: Batch, result: Applied) -> None:
        self._shared.breaker.count(batch.entries)
        self._shared.watch.lag.note_applied(batch.spans)
        lost = self.partitions.lost
        lost.move_on(batch.spans)
        # What is ahead in Kafka tells the next worker that commits were lost.
        self._shared.commits.note({tp: span for tp, span in batch.spans.items() if not lost.is_behind(tp)})
        metrics.count_batch(self._name, batch.entries, result.announced, self._shared.settings.batch_size)

    async def _wait(self, for_s: float) -> None:
        """Waits, and keeps the member in its group: getmany goes on being called."""
        await self._take_nothing(for_s)
        self.partitions.unpause()
        self.last_turn = time.monotonic()

    async def _take_nothing(self, for_s: float) -> None:
        self.partitions.pause()
        fetched = await self._getmany(for_s)
        # A rebalance in between forgot the pause: what was dropped here must be fetched again.
        self.partitions.reread(fetched)

    async def _sleep(self, for_s: float) -> None:
        """Waits for `for_s`, or until the lane is told to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await self._stopping.wait()

    @property
    def _name(self) -> str:
        return f"{self._shared.stream.name}/{self._number}"
