"""The dead letter topic as an operator has it before him: read from its start to its end, noted on, cut off."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from getpass import getuser
from socket import gethostname

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import KafkaError

from events.consumer import close_consumer
from events.producer import Producer
from worker.deadletters.ledger import Ledger
from worker.deadletters.letter import Fate, Letter, Position, Resolution, read_entry
from worker.deadletters.selection import Selection
from worker.errors import KafkaUnavailable, SetupError
from worker.kafka.client import client
from worker.kafka.topics import admin_client, require_topics
from worker.settings import Settings
from worker.stream.outcome import Record

FETCH_WAIT_MS = 1000
LONGEST_SILENCE_S = 30

Spans = Mapping[TopicPartition, tuple[int, int]]  # from this offset, up to but not with that one
Advance = Callable[[str, int, int], None]  # called with what is done, records read so far, and records in all


class DeadLetterTopic:
    """Reads the topic as it was when this was opened; what is written meanwhile is not seen."""

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer, spans: Spans, advance: Advance | None) -> None:
        self._settings = settings
        self._consumer = consumer
        self._spans = spans
        self._advance = advance

    async def read_ledger(self) -> Ledger:
        """What the topic says of its letters. Reads all of it."""
        ledger = Ledger()
        async for record in self._read_records(self._spans, "reading"):
            ledger.note(read_entry(record))
        return ledger

    async def read_open_letters(
        self, ledger: Ledger, selection: Selection
    ) -> AsyncIterator[tuple[Letter, list[Position]]]:
        """The selected letters that are not resolved, each once, and where its copies stand, itself among them."""
        seen: set[Hashable] = set()
        async for letter in self.read_letters(selection):
            copies = ledger.find_open_copies(letter)
            if not copies or letter.identity in seen:
                continue
            if len(copies) > 1:
                seen.add(letter.identity)
            yield letter, copies

    async def read_each_letter(self, selection: Selection) -> AsyncIterator[tuple[Letter, list[Position]]]:
        """All selected letters, resolved ones and copies one by one."""
        async for letter in self.read_letters(selection):
            yield letter, [letter.position]

    async def read_letters(self, selection: Selection) -> AsyncIterator[Letter]:
        """The selected letters; copies and resolved ones too."""
        async for record in self._read_records(self._narrow_spans(selection.positions), "going through"):
            entry = read_entry(record)
            if isinstance(entry, Letter) and selection.takes(entry):
                yield entry

    async def truncate(self, ledger: Ledger) -> int:
        """Deletes what lies before each partition's first open letter, for ever. Returns the number of records.

        Raises SetupError when Kafka refuses.
        """
        keep = {tp.partition: end for tp, (_, end) in self._spans.items()}
        for position in ledger.list_open():
            keep[position.partition] = min(keep[position.partition], position.offset)
        cut = {tp: keep[tp.partition] for tp, (first, _) in self._spans.items() if keep[tp.partition] > first}
        async with admin_client(self._settings) as admin:
            try:
                await admin.delete_records({tp: RecordsToDelete(before) for tp, before in cut.items()})
            except KafkaError as error:
                raise SetupError(f"{self._settings.dead_letter_topic} cannot be truncated: {error!r}") from error
        return sum(before - self._spans[tp][0] for tp, before in cut.items())

    def _narrow_spans(self, positions: Collection[Position]) -> Spans:
        """As little of the topic as has these positions; all of it for none."""
        if not positions:
            return self._spans
        asked = {
            tp: [p.offset for p in positions if p.partition == tp.partition and first <= p.offset < end]
            for tp, (first, end) in self._spans.items()
        }
        return {tp: (min(offsets), max(offsets) + 1) for tp, offsets in asked.items() if offsets}

    async def _read_records(self, spans: Spans, doing: str) -> AsyncIterator[Record]:
        total = sum(end - first for first, end in spans.values())
        passed = 0
        unread = {tp for tp, (first, end) in spans.items() if first < end}
        for tp in unread:
            self._consumer.seek(tp, spans[tp][0])
        while unread:
            for tp, records in (await self._fetch(unread)).items():
                for record in records:
                    if record.offset < spans[tp][1]:
                        yield record
                passed += len(records)
            if self._advance:
                self._advance(doing, passed, total)
            unread = {tp for tp, position in (await self._read_positions(unread)).items() if position < spans[tp][1]}

    async def _fetch(self, unread: Collection[TopicPartition]) -> dict[TopicPartition, list[Record]]:
        """Some records of these partitions; none where what follows is never handed out, as a transaction's marker."""
        before = await self._read_positions(unread)
        try:
            async with asyncio.timeout(LONGEST_SILENCE_S):
                while True:
                    fetched: dict[TopicPartition, list[Record]] = await self._consumer.getmany(
                        *unread, timeout_ms=FETCH_WAIT_MS
                    )
                    if fetched or await self._read_positions(unread) != before:
                        return fetched
        except TimeoutError:  # aiokafka goes on trying, without a word
            raise KafkaUnavailable(f"Kafka has not answered for {LONGEST_SILENCE_S} s: run this again") from None

    async def _read_positions(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: await self._consumer.position(tp) for tp in partitions}


@asynccontextmanager
async def open_topic(settings: Settings, advance: Advance | None = None) -> AsyncIterator[DeadLetterTopic]:
    """The topic from its start to where it ends now. Raises KafkaUnavailable, or SetupError when it is missing."""
    await require_topics(settings, settings.dead_letter_topic)
    consumer = AIOKafkaConsumer(
        settings.dead_letter_topic,
        **client(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    try:
        await consumer.start()
        first = await consumer.beginning_offsets(consumer.assignment())
        end = await consumer.end_offsets(consumer.assignment())
        yield DeadLetterTopic(settings, consumer, {tp: (first[tp], end[tp]) for tp in first}, advance)
    finally:
        await close_consumer(consumer)


async def write_resolutions(settings: Settings, producer: Producer, resolutions: Sequence[Resolution]) -> None:
    """Durable when it returns. Raises PublishFailed, and then some may be there; noting them again changes nothing."""
    await producer.send_all([resolution.to_record(settings.dead_letter_topic) for resolution in resolutions])


def build_resolution(position: Position, fate: Fate, to: str = "", *, by: str | None = None) -> Resolution:
    """A resolution of now, by whoever runs this process if nobody else is named."""
    return Resolution(position, fate, datetime.now(UTC).isoformat(), by or _read_user(), to)


def _read_user() -> str:
    try:
        return f"{getuser()}@{gethostname()}"
    except (KeyError, OSError):  # in a container, under a number that nobody has
        return f"user {os.getuid()}@{gethostname()}"
