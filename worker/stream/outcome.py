"""Defines the outcomes of decoding a record: an event, rejected, or skipped. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from aiokafka.structs import ConsumerRecord

from events.kinds import Kind

Record: TypeAlias = ConsumerRecord  # aiokafka has no types: any attribute passes
# Kafka takes any number as a record's timestamp, in milliseconds. One from before 2000 is none: -1, 0, or seconds.
EARLIEST_STAMP = 946_684_800_000

# Why records are skipped; in the metrics it is the outcome (docs/alerts.yml watches the first).
UNKNOWN_TYPE = "unknown type"
NO_VALUE = "no value"
LEFT_TO_WORKERS = "left to workers"


class Occurrence(NamedTuple):
    """Holds an event, and when it happened: the time that every rule uses."""

    occurred_at: datetime
    event: Any  # a model of the stream's events; its class names it in the metrics
    topic: str
    partition: int
    clamped: bool = False  # its time was too far ahead of the record's, and was set to about that (docs/rules.md)
    cause: str | None = None  # None: the learner
    utc_offset: int = 0  # of the device's clock, in minutes


class BadHeaderRecord(Record):  # type: ignore[misc]
    """Holds a record with a header name that is not UTF-8: backslashes stand for its bytes (intake/bad_headers.py)."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Says why a record can never be applied. The record goes to the dead letters unchanged."""

    record: Record
    reason: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Skipped:
    """Stands for a record that means nothing to this worker: without a value, or an event of an unknown type."""

    reason: str
    type: str = ""  # of an event whose type is unknown, as its producer wrote it: at most 1,000 characters


Outcome: TypeAlias = Occurrence | Rejected | Skipped
