"""Reads the dead letter topic from start to end, writes resolutions to it, and truncates it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from getpass import getuser
from socket import gethostname

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import KafkaError

from events.consumer import close_consumer
from events.producer import Producer
from worker.deadletters.fetch import LARGEST_FETCH, fetch_some
from worker.deadletters.ledger import Ledger
from worker.deadletters.letter import Fate, Letter, Position, Resolution, read_entry
from worker.deadletters.selection import Selection
from worker.errors import KafkaUnavailable, SetupError
from worker.kafka.client import client_arguments
from worker.kafka.topics import LogRanges, admin_client, require_topics
from worker.settings import Settings
from worker.stream.outcome import Record

FETCH_WAIT_MS = 1000
LONGEST_SILENCE_S = 30

Advance = Callable[[str, int, int], None]  # called with the step's name, records read so far, and records in all


class DeadLetterTopic:
    """Reads the topic as it was when it was opened: records written later are not read."""

    def __init__(
        self, settings: Settings, consumer: AIOKafkaConsumer, ranges: LogRanges, advance: Advance | None
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._ranges = ranges
        self._advance = advance

    async def read_ledger(self) -> Ledger:
        """Reads the whole topic, and returns which letters are resolved and which are copies."""
        ledger = Ledger()
        async for record in self._read_records(self._ranges, "reading"):
            ledger.note(read_entry(record))
        return ledger

    async def read_open_letters(
        self, ledger: Ledger, selection: Selection
    ) -> AsyncIterator[tuple[Letter, list[Position]]]:
        """Yields each selected letter that is not resolved once, with its open positions: its own and its copies'."""
        seen: set[Hashable] = set()
        async for letter in self.read_letters(selection):
            copies = ledger.find_open_copies(letter)
            if not copies or letter.identity in seen:
                continue
            if len(copies) > 1:
                seen.add(letter.identity)
            yield letter, copies

    async def read_each_letter(self, selection: Selection) -> AsyncIterator[tuple[Letter, list[Position]]]:
        """Yields every selected letter with its own position alone, resolved letters and copies too."""
        async for letter in self.read_letters(selection):
            yield letter, [letter.position]

    async def read_letters(self, selection: Selection) -> AsyncIterator[Letter]:
        """Yields the selected letters, resolved letters and copies too."""
        async for record in self._read_records(self._narrow_ranges(selection.positions), "going through"):
            entry = read_entry(record)
            if isinstance(entry, Letter) and selection.takes(entry):
                yield entry

    async def truncate(self, ledger: Ledger) -> int:
        """Deletes all records before each partition's first open letter, permanently. Returns how many.

        Raises SetupError if Kafka refuses.
        """
        keep = {tp.partition: end for tp, (_, end) in self._ranges.items()}
        for position in ledger.list_open():
            keep[position.partition] = min(keep[position.partition], position.offset)
        cut = {tp: keep[tp.partition] for tp, (first, _) in self._ranges.items() if keep[tp.partition] > first}
        async with admin_client(self._settings) as admin:
            try:
                await admin.delete_records({tp: RecordsToDelete(before) for tp, before in cut.items()})
            except KafkaError as error:
                raise SetupError(f"{self._settings.dead_letter_topic} cannot be truncated: {error!r}") from error
        return sum(before - self._ranges[tp][0] for tp, before in cut.items())

    def _narrow_ranges(self, positions: Collection[Position]) -> LogRanges:
        """Narrows the ranges to those that contain the positions; without positions, to the whole topic."""
        if not positions:
            return self._ranges
        asked = {
            tp: [p.offset for p in positions if p.partition == tp.partition and first <= p.offset < end]
            for tp, (first, end) in self._ranges.items()
        }
        return {tp: (min(offsets), max(offsets) + 1) for tp, offsets in asked.items() if offsets}

    async def _read_records(self, ranges: LogRanges, doing: str) -> AsyncIterator[Record]:
        total = sum(end - first for first, end in ranges.values())
        passed = 0
        unread = {tp for tp, (first, end) in ranges.items() if first < end}
        for tp in unread:
            self._consumer.seek(tp, ranges[tp][0])
        while unread:
            for tp, records in (await self._fetch(unread)).items():
                for record in records:
                    if record.offset < ranges[tp][1]:
                        yield record
                passed += len(records)
            if self._advance:
                self._advance(doing, passed, total)
            unread = {tp for tp, position in (await self._read_positions(unread)).items() if position < ranges[tp][1]}

    async def _fetch(self, unread: Collection[TopicPartition]) -> dict[TopicPartition, list[Record]]:
        """Fetches some records of these partitions.

        Returns none if the position moved without a record, as over a transaction's marker. Raises KafkaUnavailable
        after LONGEST_SILENCE_S.
        """
        before = await self._read_positions(unread)
        try:
            async with asyncio.timeout(LONGEST_SILENCE_S):
                while True:
                    fetched = await fetch_some(self._consumer, unread, FETCH_WAIT_MS)
                    if fetched or await self._read_positions(unread) != before:
                        return fetched
        except TimeoutError:  # aiokafka retries without end and without an error
            raise KafkaUnavailable(f"Kafka has not answered for {LONGEST_SILENCE_S} s: run this again") from None

    async def _read_positions(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: await self._consumer.position(tp) for tp in partitions}


@asynccontextmanager
async def open_topic(settings: Settings, advance: Advance | None = None) -> AsyncIterator[DeadLetterTopic]:
    """Opens the topic from its start to its end of now. Raises KafkaUnavailable, or SetupError if it is missing."""
    await require_topics(settings, settings.dead_letter_topic)
    consumer = AIOKafkaConsumer(
        settings.dead_letter_topic,
        **client_arguments(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_bytes=LARGEST_FETCH,
    )
    try:
        await consumer.start()
        first = await consumer.beginning_offsets(consumer.assignment())
        end = await consumer.end_offsets(consumer.assignment())
        yield DeadLetterTopic(settings, consumer, {tp: (first[tp], end[tp]) for tp in first}, advance)
    finally:
        await close_consumer(consumer)


async def write_resolutions(settings: Settings, producer: Producer, resolutions: Sequence[Resolution]) -> None:
    """Writes resolutions, which are durable on return.

    Raises PublishFailed; some may be written then. Writing them again changes nothing.
    """
    await producer.send_all([resolution.to_record(settings.dead_letter_topic) for resolution in resolutions])


def build_resolution(position: Position, fate: Fate, to: str = "", *, by: str | None = None) -> Resolution:
    """Builds a resolution with the time of now; `by` is the operator, by default the user that runs this process."""
    return Resolution(position, fate, datetime.now(UTC).isoformat(), by or _read_user(), to)


def _read_user() -> str:
    try:
        return f"{getuser()}@{gethostname()}"
    except (KeyError, OSError):  # in a container, a user id may have no name
        return f"user {os.getuid()}@{gethostname()}"
