"""Sums up a dead letter in one row, for lists on terminal, pages and API."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from events.kinds import Kind
from events.models import EPOCH
from worker.deadletters.letter import Letter, Origin, Position, Resolution


@dataclass(frozen=True, slots=True)
class Row:
    """Sums up one dead letter: where it is, why it was rejected, and its state (open, replayed or discarded)."""

    position: str
    rejected_at: datetime | None
    kind: Kind
    type: str
    origin: Origin | None
    attempts: int
    copies: int
    reason: str
    state: str
    truncated: str  # what of the record is cut, with its whole size in bytes; empty if the letter has the whole record

    @classmethod
    def from_letter(cls, letter: Letter, copies: Sequence[Position], resolution: Resolution | None) -> Self:
        """Builds the row; `copies` are the letter's unresolved positions, its own among them."""
        return cls(
            str(letter.position),
            letter.rejected_at,
            letter.kind,
            letter.type,
            letter.origin,
            letter.attempts,
            max(1, len(copies)),
            letter.reason,
            resolution.fate if resolution else "open",
            letter.truncated,
        )


def sort_key(row: Row) -> tuple[datetime, str]:
    """Orders rows by when their letters were rejected; those without a time come first."""
    return row.rejected_at or EPOCH, row.position
