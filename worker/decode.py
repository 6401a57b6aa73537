"""Decodes the bytes of records: to an event, or to the reason why it can never be applied.

Pure, but for a record without a timestamp, whose event must not be ahead of the clock (docs/rules.md).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from time import time as now

from events.catalog import CATALOG_EVENTS
from events.envelope import MalformedEvent, UnknownType, data_of, read
from events.kinds import Kind
from events.learners import LEARNER_EVENTS
from events.models import AHEAD_S, COURSE_EVENTS, EARLIEST, EPOCH, LESSON_EVENTS, ContractEvent
from worker.stream.cut_record import CutRecord
from worker.stream.outcome import EARLIEST_STAMP, BadHeaderRecord, Occurrence, Outcome, Record, Rejected, Skipped


def decode(record: Record) -> Outcome:
    """Decodes one record of lesson-events. Never raises, whatever bytes a producer has written."""
    return decode_event(record, LESSON_EVENTS)


def decode_catalog(record: Record) -> Outcome:
    """Decodes one record of course-catalog, as `decode`."""
    return decode_event(record, CATALOG_EVENTS)


def decode_course_event(record: Record) -> Outcome:
    """Decodes one record of course-events, as `decode`."""
    return decode_event(record, COURSE_EVENTS)


def decode_learner(record: Record) -> Outcome:
    """Decodes one record of learners, as `decode`."""
    return decode_event(record, LEARNER_EVENTS)


def decode_event(record: Record, models: Mapping[str, type[ContractEvent]]) -> Outcome:
    """Decodes a record to an event of one of these models. Never raises, whatever bytes a producer has written."""
    if record.value is None:
        return Skipped("no value")
    if type(record) is not Record and (rejected := _reject_unread(record)):
        return rejected
    try:
        envelope = read(record.value, record.headers)
        event = data_of(envelope, models)
    except UnknownType:
        return Skipped("unknown type")
    except MalformedEvent as malformed:
        return Rejected(record, str(malformed), malformed.kind)
    if record.timestamp < EARLIEST_STAMP and _is_ahead(envelope.time):
        reason = f"time: {envelope.time:%Y-%m-%d} is in the future, and the record has no timestamp to set it to"
        return Rejected(record, reason, Kind.TIME)
    occurred_at, clamped = _clamp(envelope.time, record.timestamp)
    if occurred_at < EARLIEST:
        return Rejected(record, f"time: {occurred_at:%Y-%m-%d} is before 2000-01-01", Kind.TIME)
    return Occurrence(occurred_at, event, record.topic, record.partition, clamped, envelope.cause)


def _clamp(time: datetime, timestamp_ms: int) -> tuple[datetime, bool]:
    """Limits a time to five minutes ahead of the record's own timestamp: a clock that runs ahead would win every merge.

    It does not compare with the wall clock, because a replay must decide alike.
    """
    if timestamp_ms < EARLIEST_STAMP or time.timestamp() - timestamp_ms / 1000 <= AHEAD_S:
        return time, False
    return EPOCH + timedelta(milliseconds=timestamp_ms), True


def _is_ahead(time: datetime) -> bool:
    """Tells whether a time is more than five minutes ahead of the clock.

    Asked only where the record has no timestamp: a clock that ran ahead would win every merge, permanently.
    """
    return time.timestamp() > now() + AHEAD_S


def _reject_unread(record: Record) -> Rejected | None:
    if isinstance(record, CutRecord):
        return Rejected(record, record.why, Kind.TOO_LARGE)
    if isinstance(record, BadHeaderRecord):
        return Rejected(record, "the name of a header is not UTF-8", Kind.UNREADABLE_HEADER)
    return None
