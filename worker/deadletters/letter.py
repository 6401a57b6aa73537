"""Dead letters as they are read back, and what became of them. Pure.

Kafka only appends. That a letter was replayed or discarded is therefore a record of its own, a resolution, behind the
letter in its partition (docs/decisions/0011).
"""

import re
import sys
from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Self

from pydantic_core import from_json

from events.kinds import Kind
from events.producer import OutgoingRecord
from worker.deadletters import headers
from worker.stream.outcome import Record


class Position(NamedTuple):
    """Where a record stands on the dead letter topic: `3:17`."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError."""
        if not re.fullmatch("[0-9]{1,9}:[0-9]{1,18}", text):
            raise ValueError(f"{text!r} is no position such as 3:17")
        partition, offset = text.split(":")
        return cls(int(partition), int(offset))

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the rejected record stood."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter."""

    position: Position
    record: Record  # as the worker got it, without our headers
    origin: Origin | None  # None for what no worker wrote
    kind: Kind
    reason: str
    rejected_at: datetime | None
    group: str
    attempts: int  # how often the event was rejected

    @property
    def type(self) -> str:
        """What the record calls itself, as far as that can be made out; else empty."""
        named = dict(self.record.headers).get("ce_type")
        if named is not None:
            return str(named, errors="replace")
        try:
            value = from_json(self.record.value or b"")
        except ValueError:
            return ""
        type = value.get("type") if isinstance(value, dict) else None
        return type if isinstance(type, str) else ""  # what else stands there may be about a learner

    @property
    def identity(self) -> Hashable:
        """Equal for copies: a worker that died before its batch was applied has left its dead letters twice.

        The origin alone would not do: in a topic that was created anew, another record stands there.
        """
        if self.origin is None:
            return self.position
        record = self.record
        return self.origin, hash((record.timestamp, record.key, record.value, tuple(record.headers)))


class Fate(StrEnum):
    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Resolution:
    """What became of a dead letter, when and by whom."""

    of: Position
    fate: Fate
    at: str
    by: str
    to: str = ""  # where it was replayed to

    def to_record(self, topic: str) -> OutgoingRecord:
        """The record that says so, for the letter's own partition: what cuts this off has cut off the letter before."""
        texts = {
            headers.RESOLVES: str(self.of),
            "dlq_fate": self.fate,
            "dlq_resolved_at": self.at,
            "dlq_resolved_by": self.by,
            "dlq_replayed_to": self.to,
        }
        encoded = [(name, text.encode()) for name, text in texts.items()]
        return OutgoingRecord(topic, None, b"", encoded, partition=self.of.partition)


def read_entry(record: Record) -> Letter | Resolution:
    """What a record of the dead letter topic is. Whatever is no resolution is a letter."""
    texts = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    resolution = _read_resolution(texts)
    # One that was written after the topic was created anew may name a position that is still to come.
    if resolution and resolution.of.partition == record.partition and resolution.of.offset < record.offset:
        return resolution
    return _read_letter(record, texts)


def _read_resolution(texts: dict[str, str]) -> Resolution | None:
    try:
        return Resolution(
            Position.parse(texts[headers.RESOLVES]),
            Fate(texts["dlq_fate"]),
            texts["dlq_resolved_at"],
            texts["dlq_resolved_by"],
            texts["dlq_replayed_to"],
        )
    except (KeyError, ValueError):
        return None


def _read_letter(record: Record, texts: dict[str, str]) -> Letter:
    origin = _read_origin(texts)
    where = {} if origin is None else {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset}
    return Letter(
        Position(record.partition, record.offset),
        replace(record, headers=headers.own_headers(record.headers), **where),
        origin,
        Kind(texts.get(headers.KIND, Kind.UNKNOWN)),
        texts.get(headers.REASON, ""),
        _read_time(texts.get(headers.REJECTED_AT, "")),
        texts.get(headers.GROUP, ""),
        max(1, headers.count_attempts(record.headers)),  # letters from before attempts were counted
    )


def _read_origin(texts: dict[str, str]) -> Origin | None:
    try:
        return Origin(sys.intern(texts[headers.TOPIC]), int(texts[headers.PARTITION]), int(texts[headers.OFFSET]))
    except (KeyError, ValueError):
        return None


def _read_time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
