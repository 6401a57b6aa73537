"""What a record of a stream turned out to be."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeAlias

from aiokafka.structs import ConsumerRecord

from events.kinds import Kind
from events.models import LessonEvent

Record: TypeAlias = ConsumerRecord  # aiokafka has no types of its own: any attribute goes


class Occurrence(NamedTuple):
    """One event, and when it happened to the learner: the time that every rule uses."""

    occurred_at: datetime
    event: LessonEvent
    topic: str
    partition: int
    clamped: bool = False


class BadHeaderRecord(Record):  # type: ignore[misc]
    """A record with a header whose name is not UTF-8, which is written with backslashes here (unreadable.py)."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that can never be applied. It goes to the dead letters as it came."""

    record: Record
    reason: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that says nothing to this worker: a tombstone, or an event of a type it does not know."""

    reason: str


Outcome: TypeAlias = Occurrence | Rejected | Skipped
