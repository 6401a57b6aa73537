"""Defines how effects, which follow from events, are planned exactly once and performed at least once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

import asyncpg

from worker.stream.outcome import Occurrence


class Planned(NamedTuple):
    """Holds an effect that is due: what it is about, and the record that caused it."""

    key: str
    source_topic: str
    source_partition: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Later:
    """Says that the effect is due again at `at`, or without it after a back-off that grows, and why it is not done."""

    reason: str | None  # None: nothing is wrong, it is only not time yet
    at: datetime | None = None


class Plan(Protocol):
    """Writes what events set off, in the transaction that moves their offsets."""

    async def __call__(self, connection: asyncpg.Connection, occurrences: Sequence[Occurrence]) -> int:
        """Plans, and returns how many effects are due because of it. Repeated events, in any order, plan the same."""


class Perform(Protocol):
    """Performs one effect over the connection that it is given; what it writes is durable when the caller commits."""

    async def __call__(self, connection: asyncpg.Connection, planned: Planned) -> Later | None:
        """Performs it. None: it is done, and its row is deleted with the same commit.

        May be called again for what was done, after a crash. What it raises becomes the reason why this effect waits,
        and others go on: a ProgressError its own line, anything else a bug whose text is not shown.
        """
