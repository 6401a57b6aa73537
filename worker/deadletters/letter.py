"""Reads the records of the dead letter topic: dead letters and their resolutions. Pure.

A topic is append-only. What became of a letter is therefore a record of its own, a resolution, which stands behind the
letter in the same partition (docs/decisions/0011).
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
from worker.stream.cut_record import CutRecord
from worker.stream.outcome import Record

LARGEST_PARSED = 64 * 1024  # bytes of a value
LONGEST_TEXT = 1000  # characters of what a record says about itself
LONGEST_TOPIC = 249  # characters, Kafka's own limit
NUMBER = re.compile("[0-9]{1,18}")


class Position(NamedTuple):
    """Names a record on the dead letter topic by partition and offset, written as `3:17`."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a position as `str` writes it. Raises ValueError."""
        if not re.fullmatch("[0-9]{1,9}:[0-9]{1,18}", text):
            raise ValueError(f"{text!r} is not a position such as 3:17")
        partition, offset = text.split(":")
        return cls(int(partition), int(offset))

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Names the rejected record by topic, partition and offset."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """Holds a rejected record, where it came from, and why it was rejected."""

    position: Position
    record: Record  # as the worker received it, without the worker's headers
    origin: Origin | None  # None if the headers do not say it, as in a record that no worker wrote
    kind: Kind
    reason: str
    rejected_at: datetime | None
    group: str
    attempts: int  # how often the event was rejected
    truncated: str  # what of the record is cut, with its whole size in bytes; empty if the letter has the whole record
    value_sha256: str  # of the whole value; only where the letter is truncated

    @property
    def type(self) -> str:
        """Reads the event type that the record states, in a header or its value; empty if neither has a text there.

        It looks into no value of more than LARGEST_PARSED bytes, and returns at most LONGEST_TEXT characters.
        """
        named = dict(self.record.headers).get("ce_type")
        if named is not None:
            return str(named[:LONGEST_TEXT], errors="replace")
        value = self.record.value or b""
        try:
            value = from_json(value) if len(value) <= LARGEST_PARSED else None
        except ValueError:
            return ""
        type = value.get("type") if isinstance(value, dict) else None
        return type[:LONGEST_TEXT] if isinstance(type, str) else ""  # any other value may be about a learner

    @property
    def identity(self) -> Hashable:
        """Builds a value that is equal for copies, which a worker leaves that dies before its batch is applied.

        The origin alone is not enough, because a topic that was recreated has another record at the same offset.
        """
        if self.origin is None:
            return self.position
        record = self.record
        content = (record.timestamp, record.key, record.value, tuple(record.headers), self.value_sha256)
        return self.origin, hash(content)


class Fate(StrEnum):
    """Says what an operator did with a dead letter; stored in its resolution."""

    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Resolution:
    """Says what became of a dead letter, when, and who did it."""

    of: Position
    fate: Fate
    at: str
    by: str
    to: str = ""  # where the replayed record is

    def to_record(self, topic: str) -> OutgoingRecord:
        """Builds the resolution's record for the letter's partition: deleting it deletes the letter before it, too.

        It has a key, because a compacted topic does not take a record without one.
        """
        texts = {
            headers.RESOLVES: str(self.of),
            "dlq_fate": self.fate,
            "dlq_resolved_at": self.at,
            "dlq_resolved_by": self.by,
            "dlq_replayed_to": self.to,
        }
        encoded = [(name, text.encode()) for name, text in texts.items()]
        return OutgoingRecord(topic, str(self.of).encode(), b"", encoded, partition=self.of.partition)


def read_entry(record: Record) -> Letter | Resolution:
    """Reads a record of the dead letter topic. A record that is not a valid resolution is a letter."""
    ours = ((name, value or b"") for name, value in record.headers if name.startswith(headers.PREFIX))
    texts = {name: value[:LARGEST_PARSED].decode(errors="replace") for name, value in ours}
    if isinstance(record, CutRecord):  # a batch that is larger than this process inflates
        texts = {headers.REASON: record.why, headers.TRUNCATED: record.sizes}
    resolution = _read_resolution(texts)
    # A resolution written after the topic was recreated may name a position that does not exist yet.
    if resolution and resolution.of.partition == record.partition and resolution.of.offset < record.offset:
        return resolution
    return _read_letter(record, texts)


def _read_resolution(texts: dict[str, str]) -> Resolution | None:
    try:
        return Resolution(
            Position.parse(texts[headers.RESOLVES]),
            Fate(texts["dlq_fate"]),
            *(texts[name][:LONGEST_TEXT] for name in ("dlq_resolved_at", "dlq_resolved_by", "dlq_replayed_to")),
        )
    except (KeyError, ValueError):
        return None


def _read_letter(record: Record, texts: dict[str, str]) -> Letter:
    origin = _read_origin(texts)
    key = None if headers.KEY_ADDED in texts else record.key
    kept = texts.get(headers.TIMESTAMP, "")
    timestamp = int(kept) if re.fullmatch("-?[0-9]{1,18}", kept) else record.timestamp
    where = {} if origin is None else {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset}
    return Letter(
        Position(record.partition, record.offset),
        replace(record, key=key, timestamp=timestamp, headers=headers.own_headers(record.headers), **where),
        origin,
        Kind(texts.get(headers.KIND, Kind.UNKNOWN)),
        texts.get(headers.REASON, ""),
        _read_time(texts.get(headers.REJECTED_AT, "")),
        texts.get(headers.GROUP, ""),
        max(1, headers.count_attempts(record.headers)),  # older letters do not have the header
        headers.describe_truncation(texts.get(headers.TRUNCATED, "")),
        texts.get(headers.VALUE_SHA256, ""),
    )


def _read_origin(texts: dict[str, str]) -> Origin | None:
    topic, *numbers = (texts.get(name, "") for name in (headers.TOPIC, headers.PARTITION, headers.OFFSET))
    if not topic or len(topic) > LONGEST_TOPIC or not all(map(NUMBER.fullmatch, numbers)):
        return None
    return Origin(sys.intern(topic), *map(int, numbers))


def _read_time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
