"""Decodes the bytes of lesson events: to an event, or to the reason why it can never be applied. Pure."""

from datetime import UTC, datetime, timedelta

from events.envelope import MalformedEvent, UnknownType, data_of, read
from events.kinds import Kind
from events.models import EARLIEST, LESSON_EVENTS
from worker.stream.outcome import BadHeaderRecord, Occurrence, Outcome, Record, Rejected, Skipped

AHEAD_S = 300
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decode(record: Record) -> Outcome:
    """Decodes one record of lesson-events. Never raises, whatever bytes a producer has written."""
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
    occurred_at, clamped = _clamp(envelope.time, record.timestamp)
    if occurred_at < EARLIEST:
        return Rejected(record, f"time: {occurred_at:%Y-%m-%d} is before 2000-01-01", Kind.TIME)
    return Occurrence(occurred_at, event, record.topic, record.partition, clamped)


def _clamp(time: datetime, timestamp_ms: int) -> tuple[datetime, bool]:
    """Limits a time to five minutes ahead of the record's own timestamp: a clock that runs ahead would win every merge.

    It does not compare with the wall clock, because a replay must decide alike. Kafka takes any number as a timestamp;
    -1 means that there is none.
    """
    seconds_ahead = time.timestamp() - timestamp_ms / 1000
    if timestamp_ms == -1 or seconds_ahead <= AHEAD_S:
        return time, False
    return (EPOCH + timedelta(milliseconds=timestamp_ms) if timestamp_ms > 0 else EPOCH), True
