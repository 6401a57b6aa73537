"""Adapts dead letters to a topic that takes no record without a key, or not with the record's timestamp."""

from collections.abc import Callable
from dataclasses import replace

from events.producer import OutgoingRecord
from worker.deadletters.headers import KEY_ADDED, OFFSET, PARTITION, TIMESTAMP, TOPIC
from worker.kafka.failures import is_bad_timestamp, is_unknown_answer


def find_adaptation(error: BaseException | None) -> Callable[[OutgoingRecord], OutgoingRecord] | None:
    """Returns what makes a letter that Kafka refuses with this error one that it takes; None: nothing does."""
    if is_unknown_answer(error):  # of a compacted topic, which takes no record without a key
        return add_key
    return replace_timestamp if is_bad_timestamp(error) else None


def add_key(letter: OutgoingRecord) -> OutgoingRecord:
    """Gives a letter without a key its origin as key, and the header KEY_ADDED that says so."""
    if letter.key is not None:
        return letter
    own = dict(letter.headers)
    key = b"/".join(own[name] for name in (TOPIC, PARTITION, OFFSET))
    return replace(letter, key=key, headers=[*letter.headers, (KEY_ADDED, b"1")])


def replace_timestamp(letter: OutgoingRecord) -> OutgoingRecord:
    """Leaves the timestamp to the time of sending, and keeps that of the record in the header TIMESTAMP."""
    if letter.timestamp_ms is None:
        return letter
    kept = (TIMESTAMP, str(letter.timestamp_ms).encode())
    return replace(letter, timestamp_ms=None, headers=[*letter.headers, kept])
