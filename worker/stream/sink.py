"""What a stream's records are handed to."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import TopicPartition


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets of one partition that a batch covers."""

    expected: int | None  # the stored offset that this worker last saw; None: there was none
    next: int


Spans = Mapping[TopicPartition, Span]


@dataclass(frozen=True, slots=True)
class Applied:
    """The batch and its offsets are durable."""

    transitions: int  # rows added to the outbox


@dataclass(frozen=True, slots=True)
class OffsetsMoved:
    """Nothing was written: another worker moved these partitions to the offsets given."""

    found: dict[TopicPartition, int | None]
