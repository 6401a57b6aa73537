"""Replays dead letters: decides which would be applied today, sends each to the topic it came from, and resolves it."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiokafka.structs import RecordMetadata

from events.kinds import Kind
from events.producer import OutgoingRecord, Producer, PublishFailed
from worker.deadletters.headers import ATTEMPTS
from worker.deadletters.letter import Fate, Letter, Origin, Position, Resolution
from worker.deadletters.selection import Selection
from worker.deadletters.topic import Advance, build_resolution, open_topic, write_resolutions
from worker.decode import decode, decode_catalog, decode_learner
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain
from worker.kafka.topics import LARGEST_REQUEST, require_topics
from worker.settings import Settings
from worker.stream.cut_record import cut, measure
from worker.stream.outcome import Outcome, Record, Rejected, Skipped

LARGEST_ROUND = 100
ROUNDS_PER_S = 10
# A value that its producer compressed may be larger, uncompressed, than its topic allows: it is compressed again.
LIMITS: dict[str, Any] = {"max_request_size": LARGEST_REQUEST, "compression_type": "gzip"}

Decoders: TypeAlias = Mapping[str, Callable[[Record], Outcome]]  # by topic: the decoder of the stream that reads it


@dataclass(frozen=True, slots=True)
class NoReplay:
    """Says why a letter is not replayed; it stays open."""

    why: str


def prepare_replay(
    letter: Letter, selection: Selection, decoders: Decoders, *, to: str | None = None
) -> OutgoingRecord | NoReplay:
    """Builds the record that replays a letter to the topic it came from, or says why it stays open. Pure.

    A letter is replayed if it has its whole record, and its stream's decoder accepts the record today. `to` names
    another topic, also for a letter from a topic without a decoder; the decoder is then that of `to`, else of the
    origin, else that of lesson events.
    The record keeps its timestamp, so that a clock that ran ahead is clamped as before (decode.py).
    """
    if letter.truncated:
        return NoReplay("truncated: only the topic that it came from may still have the whole record")
    origin = letter.origin.topic if letter.origin else None
    topic = to or origin
    if topic is None or (to is None and topic not in decoders):
        return NoReplay(f"from {origin or 'an unknown topic'}, not {' or '.join(decoders)} (see --to)")
    if letter.kind is Kind.REFUSED and not selection.names(letter):
        return NoReplay("refused by the database, which alone can tell (name them, or --kind refused)")
    decode_record = decoders.get(topic) or decoders.get(origin or "") or decode
    match decode_record(cut(letter.record)):
        case Rejected(kind=kind):
            return NoReplay(f"still {kind}")
        case Skipped(reason):
            return NoReplay(f"not an event for a worker: {reason}")
    headers = [*letter.record.headers, (ATTEMPTS, str(letter.attempts).encode())]
    return OutgoingRecord(topic, letter.record.key, letter.record.value, headers, letter.record.timestamp)


class Pacer:
    """Limits the rate: at most `rate` a second, also after a pause, which is not made up for. Pure."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = float("-inf")

    def reserve(self, number: int, now: float) -> float:
        """Reserves the time to send `number` records, and returns how many seconds to wait before sending them."""
        start = max(now, self._free_at)
        self._free_at = start + number / self._rate
        return start - now


@dataclass(slots=True)
class Tally:
    """Counts the selected letters that were replayed, and those that stay open, by reason."""

    replayed: int = 0
    left: Counter[str] = field(default_factory=Counter)


async def replay(
    settings: Settings,
    selection: Selection,
    *,
    decoders: Decoders | None = None,
    to: str | None = None,
    rate: float,
    limit: int | None = None,
    dry_run: bool = False,
    advance: Advance | None = None,
    by: str | None = None,
) -> Tally:
    """Replays the selected open letters, at most `limit` of them and `rate` a second; a dry run only counts.

    Each goes to the topic it came from if `decoders`, by default those of `choose_decoders`, has it, or all go to `to`.
    The resolutions name `by`, by default the user that runs this process. Repeating and killing it are safe.

    Raises KafkaUnavailable, with how many were replayed, or SetupError if a topic or a permission is missing.
    """
    decoders = decoders or choose_decoders(settings)
    tally = Tally()
    # Only `course-progress effects` reads learners: an installation without it may lack the topic.
    await require_topics(settings, *([to] if to else decoders.keys() - {settings.learners_topic}))
    async with open_topic(settings, advance) as box, Producer(**client_arguments(settings), **LIMITS) as producer:
        rounds = ReplayRounds(settings, producer, rate, by)
        async for letter, copies in box.read_open_letters(await box.read_ledger(), selection):
            await asyncio.sleep(0)  # to decode a large one takes a while, and learners wait for the API's process
            record = prepare_replay(letter, selection, decoders, to=to)
            if isinstance(record, NoReplay):
                tally.left[record.why] += 1
                continue
            if not dry_run:
                await rounds.add(record, copies)
            tally.replayed += 1
            if tally.replayed == limit:
                break
        await rounds.flush()
    return tally


def choose_decoders(settings: Settings) -> Decoders:
    """Returns the decoder of each topic that others write and a process of ours reads."""
    return {
        settings.lesson_events_topic: decode,
        settings.course_catalog_topic: decode_catalog,
        settings.learners_topic: decode_learner,
    }


class ReplayRounds:
    """Sends records in rounds, and writes the resolutions of each round after it.

    In this order, because a process that is killed in between leaves letters open whose events are already sent.
    Replaying those again changes nothing, as with any event that arrives twice.
    """

    def __init__(self, settings: Settings, producer: Producer, rate: float, by: str | None = None) -> None:
        self._settings = settings
        self._producer = producer
        self._by = by
        self._pacer = Pacer(rate)
        self._size = max(1, min(LARGEST_ROUND, int(rate / ROUNDS_PER_S)))
        self._taken: list[tuple[OutgoingRecord, list[Position]]] = []
        self._bytes = 0
        self._replayed = 0

    async def add(self, record: OutgoingRecord, copies: list[Position]) -> None:
        """Adds a record with the open positions of its letter; flushes when the round is full, or has many bytes.

        A record without a timestamp (-1) is a round of its own: aiokafka gives it that of the record behind it.
        """
        is_alone = record.timestamp_ms is not None and record.timestamp_ms < 0
        if is_alone and self._taken:
            await self.flush()
        self._taken.append((record, copies))
        self._bytes += measure(record)
        if is_alone or len(self._taken) == self._size or self._bytes > LARGEST_REQUEST:
            await self.flush()

    async def flush(self) -> None:
        """Sends the round and its resolutions, which are all durable on return. Raises KafkaUnavailable."""
        await asyncio.sleep(self._pacer.reserve(len(self._taken), time.monotonic()))
        try:
            stored = await self._producer.send_all([record for record, _ in self._taken])
            await write_resolutions(self._settings, self._producer, [*self._build_resolutions(stored)])
        except PublishFailed as error:
            raise explain(f"{self._replayed:,} were replayed; run it again to go on", error) from error
        self._replayed += len(self._taken)
        self._taken.clear()
        self._bytes = 0

    def _build_resolutions(self, stored: Sequence[RecordMetadata]) -> Iterator[Resolution]:
        for (_, copies), where in zip(self._taken, stored, strict=True):
            to = str(Origin(where.topic, where.partition, where.offset))
            yield from (build_resolution(position, Fate.REPLAYED, to, by=self._by) for position in copies)
