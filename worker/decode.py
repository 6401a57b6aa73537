"""Bytes to events: what a record says, or why it can never be applied. Pure."""

from datetime import UTC, datetime, timedelta

from events.envelope import MalformedEvent, UnknownType, data_of, read
from events.kinds import Kind
from events.models import EARLIEST, LESSON_EVENTS
from worker.stream.outcome import BadHeaderRecord, Occurrence, Outcome, Record, Rejected, Skipped

AHEAD_S = 300
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decode(record: Record) -> Outcome:
    """What one record of lesson-events says. Never raises for anything a producer can write."""
    if record.value is None:
        return Skipped("tombstone")
    if isinstance(record, BadHeaderRecord):
        return Rejected(record, "the name of a header is not UTF-8", Kind.UNREADABLE_HEADER)
    try:
        envelope = read(record.value, record.headers)
        event = data_of(envelope, LESSON_EVENTS)
    except UnknownType:
        return Skipped("unknown type")
    except MalformedEvent as malformed:
        return Rejected(record, str(malformed), malformed.kind)
    occurred_at, clamped = _clamped(envelope.time, record.timestamp)
    if occurred_at < EARLIEST:
        return Rejected(record, f"time: {occurred_at:%Y-%m-%d} is before 2000-01-01", Kind.TIME)
    return Occurrence(occurred_at, event, record.topic, record.partition, clamped)


def _clamped(time: datetime, timestamp_ms: int) -> tuple[datetime, bool]:
    """A clock that runs ahead would win for ever: at most five minutes ahead of the record's own timestamp.

    Never of the wall clock, for a replay must decide alike. Kafka takes any number for a timestamp; -1 is none.
    """
    seconds_ahead = time.timestamp() - timestamp_ms / 1000
    if timestamp_ms == -1 or seconds_ahead <= AHEAD_S:
        return time, False
    return (EPOCH + timedelta(milliseconds=timestamp_ms) if timestamp_ms > 0 else EPOCH), True
