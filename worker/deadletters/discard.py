"""Discards dead letters: finds the selected ones, and writes resolutions for them once an operator has confirmed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from events.kinds import Kind
from events.producer import Producer, PublishFailed
from worker.deadletters.letter import Fate, Position
from worker.deadletters.selection import Selection
from worker.deadletters.topic import Advance, build_resolution, open_topic, write_resolutions
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain
from worker.settings import Settings

ROUND = 500


@dataclass(slots=True)
class OpenLetters:
    """Holds how many open letters of each kind were found, and the positions of each letter and its copies."""

    kinds: Counter[Kind] = field(default_factory=Counter)
    positions: list[Position] = field(default_factory=list)


async def find(
    settings: Settings, selection: Selection, limit: int | None, advance: Advance | None = None
) -> OpenLetters:
    """Finds the selected open letters, at most `limit`. Raises KafkaUnavailable or SetupError, as `open_topic` does."""
    found = OpenLetters()
    async with open_topic(settings, advance) as box:
        async for letter, copies in box.read_open_letters(await box.read_ledger(), selection):
            found.kinds[letter.kind] += 1
            found.positions += copies
            if found.kinds.total() == limit:
                break
    return found


async def discard(settings: Settings, positions: Sequence[Position]) -> None:
    """Writes a `discarded` resolution for each position. They are durable on return. Raises KafkaUnavailable."""
    remaining = iter(positions)
    try:
        async with Producer(**client_arguments(settings)) as producer:
            while batch := list(islice(remaining, ROUND)):
                await write_resolutions(
                    settings, producer, [build_resolution(position, Fate.DISCARDED) for position in batch]
                )
    except PublishFailed as error:
        raise explain("some may be discarded; run it again to go on", error) from error
