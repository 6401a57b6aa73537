"""Dead letters produced again: which, how fast, and how it is noted that they were."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.structs import RecordMetadata

from events.kinds import Kind
from events.producer import OutgoingRecord, Producer, PublishFailed
from worker.deadletters.headers import ATTEMPTS
from worker.deadletters.letter import Fate, Letter, Origin, Position, Resolution
from worker.deadletters.selection import Selection
from worker.deadletters.topic import Advance, build_resolution, open_topic, write_resolutions
from worker.decode import decode
from worker.kafka.client import client
from worker.kafka.failures import explain
from worker.kafka.topics import LARGEST_INFLATED, require_topics
from worker.settings import Settings
from worker.stream.outcome import Rejected, Skipped

LARGEST_ROUND = 100
ROUNDS_PER_S = 10
# What a producer compressed may be larger than its topic allows; it has to be compressed again.
LIMITS: dict[str, Any] = {"max_request_size": LARGEST_INFLATED, "compression_type": "gzip"}


@dataclass(frozen=True, slots=True)
class NoReplay:
    """Why a letter is not replayed; it stays open."""

    why: str


def prepare_replay(
    letter: Letter, selection: Selection, topic: str, *, from_anywhere: bool = False
) -> OutgoingRecord | NoReplay:
    """What to produce to the topic, by today's rules, or why not. Pure.

    The timestamp is the record's own: a clock that ran ahead is held against it again (decode.py).
    """
    if not from_anywhere and (letter.origin is None or letter.origin.topic != topic):
        return NoReplay(f"from {letter.origin.topic if letter.origin else 'an unknown topic'}, not {topic} (see --to)")
    if letter.kind is Kind.REFUSED and not selection.names(letter):
        return NoReplay("refused by the database, which alone can tell (name them, or --kind refused)")
    match decode(letter.record):
        case Rejected(kind=kind):
            return NoReplay(f"still {kind}")
        case Skipped(reason):
            return NoReplay(f"no event for a worker: {reason}")
    headers = [*letter.record.headers, (ATTEMPTS, str(letter.attempts).encode())]
    return OutgoingRecord(topic, letter.record.key, letter.record.value, headers, letter.record.timestamp)


class Pacer:
    """Never more than `rate` a second, also after a pause: what was not used is not made up for. Pure."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = float("-inf")

    def reserve(self, number: int, now: float) -> float:
        """How long to wait before this number is sent."""
        start = max(now, self._free_at)
        self._free_at = start + number / self._rate
        return start - now


@dataclass(slots=True)
class Tally:
    """What became of the letters that were selected."""

    replayed: int = 0
    left: Counter[str] = field(default_factory=Counter)  # by why


async def replay(
    settings: Settings,
    selection: Selection,
    *,
    to: str | None = None,
    rate: float,
    limit: int | None = None,
    dry_run: bool = False,
    advance: Advance | None = None,
    by: str | None = None,
) -> Tally:
    """Replays the selected open letters, at most `limit`; a dry run only counts. Safe to repeat and to kill.

    It is noted that `by` did it; without, that whoever runs this process did.

    Raises KafkaUnavailable, with how many were replayed, and SetupError for a missing topic or right.
    """
    topic = to or settings.lesson_events_topic
    tally = Tally()
    await require_topics(settings, topic)
    async with open_topic(settings, advance) as box, Producer(**client(settings), **LIMITS) as producer:
        rounds = ReplayRounds(settings, producer, rate, by)
        async for letter, copies in box.read_open_letters(await box.read_ledger(), selection):
            record = prepare_replay(letter, selection, topic, from_anywhere=to is not None)
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


class ReplayRounds:
    """Produces records, a round at a time, and then notes on the letters' topic that it did.

    In this order: whoever is killed in between finds letters open whose events are there already, and replaying them
    again changes nothing, as with any event that comes twice.
    """

    def __init__(self, settings: Settings, producer: Producer, rate: float, by: str | None = None) -> None:
        self._settings = settings
        self._producer = producer
        self._by = by
        self._pacer = Pacer(rate)
        self._size = max(1, min(LARGEST_ROUND, int(rate / ROUNDS_PER_S)))
        self._taken: list[tuple[OutgoingRecord, list[Position]]] = []
        self._replayed = 0

    async def add(self, record: OutgoingRecord, copies: list[Position]) -> None:
        """Takes a record, and where its letter stands; when the round is full, as `finish`."""
        self._taken.append((record, copies))
        if len(self._taken) == self._size:
            await self.flush()

    async def flush(self) -> None:
        """All that was taken is produced and noted when it returns. Raises KafkaUnavailable."""
        await asyncio.sleep(self._pacer.reserve(len(self._taken), time.monotonic()))
        try:
            stored = await self._producer.send_all([record for record, _ in self._taken])
            await write_resolutions(self._settings, self._producer, [*self._build_resolutions(stored)])
        except PublishFailed as error:
            raise explain(f"{self._replayed:,} were replayed; run it again to go on", error) from error
        self._replayed += len(self._taken)
        self._taken.clear()

    def _build_resolutions(self, stored: Sequence[RecordMetadata]) -> Iterator[Resolution]:
        for (_, copies), where in zip(self._taken, stored, strict=True):
            to = str(Origin(where.topic, where.partition, where.offset))
            yield from (build_resolution(position, Fate.REPLAYED, to, by=self._by) for position in copies)
