"""Follows the newest dead letters, for a page that asks every few seconds (`DeadLetterTopic` reads the whole topic)."""

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from aiokafka import AIOKafkaConsumer, TopicPartition

from events.kinds import Kind
from worker.deadletters.fetch import fetch_some
from worker.deadletters.letter import LONGEST_TEXT, Letter, Position, read_entry
from worker.deadletters.row import Row, sort_key
from worker.kafka.topics import LogRanges
from worker.stream.outcome import Record

KEPT = 200  # letters of each partition
READ_FOR_S = 1.0
FETCH_WAIT_MS = 200


@dataclass(frozen=True, slots=True)
class NewestSummary:
    """Sums up the newest dead letters. A row's `state` says whether its letter is open, replayed or discarded."""

    records: int  # in the topic: letters, their copies, and resolutions
    kinds: Mapping[Kind, int]  # open letters by kind, among the newest of each partition
    latest: tuple[Row, ...]  # open letters first, then the others; of each the latest rejected first


def shorten_texts(row: Row) -> Row:
    """Cuts the row's texts to LONGEST_TEXT characters each, because a producer can make them as long as it likes."""
    shortened = {name: getattr(row, name)[:LONGEST_TEXT] for name in ("type", "reason", "truncated")}
    return replace(row, **shortened)


def select_foremost(letters: Iterable[Row], most: int) -> tuple[Row, ...]:
    """Selects at most `most` letters: open ones before resolved ones, and of each the latest rejected first.

    Otherwise many replayed letters would hide the open ones.
    """
    return tuple(sorted(letters, key=lambda row: (row.state == "open", sort_key(row)), reverse=True)[:most])


class NewestDeadLetters:
    """Keeps a row, never a value, for each of the newest letters: at most KEPT per partition.

    It begins KEPT records before the end of each partition. It knows what became of each letter it keeps, because a
    resolution stands behind its letter in the same partition.
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        """Takes a consumer to which the caller assigns the topic's partitions, paused, and that reads nothing else."""
        self._consumer = consumer
        self._rows: dict[int, deque[Row]] = {}
        self._fates: dict[str, str] = {}
        self._started: set[TopicPartition] = set()

    async def look(self, ranges: LogRanges, newest: int) -> NewestSummary:
        """Reads towards the ends of these ranges for about READ_FOR_S; the next call reads what is left.

        The partitions are paused before and after, because a fetch that waits for records delays every other request
        on its connection by half a second. Raises KafkaError.
        """
        until = time.monotonic() + READ_FOR_S
        for tp, (first, end) in ranges.items():
            await self._start_partition(tp, first, end)
        try:
            while time.monotonic() < until and (unread := await self._find_unread(ranges)):
                self._consumer.resume(*unread)
                for tp, records in (await fetch_some(self._consumer, unread, FETCH_WAIT_MS)).items():
                    self._note(tp, records)
        finally:
            self._consumer.pause(*ranges)
        return self._build_summary(ranges, newest)

    async def _start_partition(self, tp: TopicPartition, first: int, end: int) -> None:
        """Seeks to the newest records of a new partition, and forgets letters that Kafka has deleted.

        Starts over where the log ends before the position read, because then the topic was recreated.
        """
        rows = self._rows.setdefault(tp.partition, deque(maxlen=KEPT))
        if tp not in self._started or await self._consumer.position(tp) > end:
            rows.clear()
            self._consumer.seek(tp, max(first, end - KEPT))
            self._started.add(tp)
        while rows and Position.parse(rows[0].position).offset < first:
            rows.popleft()

    async def _find_unread(self, ranges: LogRanges) -> list[TopicPartition]:
        return [tp for tp, (_, end) in ranges.items() if await self._consumer.position(tp) < end]

    def _note(self, tp: TopicPartition, records: list[Record]) -> None:
        rows = self._rows[tp.partition]
        for record in records:
            entry = read_entry(record)
            if isinstance(entry, Letter):
                rows.append(shorten_texts(Row.from_letter(entry, (), None)))
            else:
                self._fates[str(entry.of)] = entry.fate

    def _build_summary(self, ranges: LogRanges, newest: int) -> NewestSummary:
        held = {row.position for rows in self._rows.values() for row in rows}
        self._fates = {position: fate for position, fate in self._fates.items() if position in held}
        letters = [
            replace(row, state=self._fates.get(row.position, row.state)) for rows in self._rows.values() for row in rows
        ]
        return NewestSummary(
            sum(end - first for first, end in ranges.values()),
            Counter(row.kind for row in letters if row.state == "open"),
            select_foremost(letters, newest),
        )
