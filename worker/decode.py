"""Decodes the bytes of records: to an event, or to the reason why it can never be applied.

Pure, but for a record without a timestamp, whose event must not be ahead of the clock (docs/rules.md).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from time import time as now

from events.catalog import CATALOG_EVENTS
from events.envelope import MINUTE, Envelope, MalformedEvent, UnknownType, data_of, read
from events.kinds import Kind
from events.learners import LEARNER_EVENTS
from events.models import (
    AHEAD_S,
    COURSE_EVENTS,
    EARLIEST,
    EPOCH,
    LESSON_EVENTS,
    MICROSECOND,
    ContractEvent,
    LessonCompleted,
)
from worker.stream.cut_record import CutRecord
from worker.stream.outcome import (
    EARLIEST_STAMP,
    LEFT_TO_WORKERS,
    NO_VALUE,
    UNKNOWN_TYPE,
    BadHeaderRecord,
    Occurrence,
    Outcome,
    Record,
    Rejected,
    Skipped,
)

COMPLETED_LESSONS = {"LessonCompleted": LessonCompleted}
AHEAD = timedelta(seconds=AHEAD_S)
SECOND = timedelta(seconds=1)
LONGEST_ORDERED_S = 30 * 86_400  # a clamped event is at most 2.592 s later than its record


def decode(record: Record) -> Outcome:
    """Decodes one record of lesson-events. Never raises, whatever bytes a producer has written."""
    return decode_event(record, LESSON_EVENTS)


def decode_completed_lesson(record: Record) -> Outcome:
    """Decodes one record of lesson-events where only completions matter. All others are left to the workers.

    They write the dead letters: a second reader of the topic must not write them again.
    """
    outcome = decode_event(record, COMPLETED_LESSONS)
    return outcome if isinstance(outcome, Occurrence) else Skipped(LEFT_TO_WORKERS)


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
        return Skipped(NO_VALUE)
    if type(record) is not Record and (rejected := _reject_unread(record)):
        return rejected
    try:
        envelope = read(record.value, record.headers)
        event = data_of(envelope, models)
    except UnknownType as unknown:
        return Skipped(UNKNOWN_TYPE, unknown.type)
    except MalformedEvent as malformed:
        return Rejected(record, str(malformed), malformed.kind)
    if record.timestamp < EARLIEST_STAMP and _is_ahead(envelope.time):
        reason = f"{_show(envelope)} is in the future, and the record has no timestamp to set it to"
        return Rejected(record, reason, Kind.TIME)
    occurred_at, clamped = _clamp(envelope.time, record.timestamp)
    if occurred_at < EARLIEST:
        return Rejected(record, f"{_show(envelope)} is before 2000-01-01 in UTC", Kind.TIME)
    offset = envelope.utc_offset // MINUTE if envelope.utc_offset else 0
    return Occurrence(occurred_at, event, record.topic, record.partition, clamped, envelope.cause, offset)


def _clamp(time: datetime, timestamp_ms: int) -> tuple[datetime, bool]:
    """Limits a time to five minutes ahead of the record's own timestamp: a clock that runs ahead would win every merge.

    A time further ahead becomes the timestamp, and one microsecond later for each whole second beyond the five minutes,
    up to 30 days: events that a device sends together have one timestamp, and stay in order. It does not compare with
    the wall clock, because a replay must decide alike.
    """
    # Of a float, a second less, because it is not exact; datetimes are, and cost more.
    if timestamp_ms < EARLIEST_STAMP or time.timestamp() - timestamp_ms / 1000 < AHEAD_S - 1:
        return time, False
    stamp = EPOCH + timedelta(milliseconds=timestamp_ms)
    beyond = time - stamp - AHEAD
    if beyond <= timedelta():
        return time, False
    return stamp + min(beyond // SECOND, LONGEST_ORDERED_S) * MICROSECOND, True


def _show(envelope: Envelope) -> str:
    """Writes the time as the event has it, not in UTC: who reads the reason looks for it there."""
    return f"time: {envelope.time.astimezone(timezone(envelope.utc_offset)).isoformat()}"


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
