"""Names the headers of a dead letter, and reads those that the worker adds."""

import re
from collections.abc import Sequence
from typing import TypeAlias

# Headers with this prefix are the worker's. A dead letter has all of these beside the record's own headers, a replayed
# record only ATTEMPTS. Topic, partition and offset identify the rejected record, also when its letter has copies.
PREFIX = "dlq_"
TOPIC, PARTITION, OFFSET = "dlq_topic", "dlq_partition", "dlq_offset"
KIND, REASON, REJECTED_AT, GROUP = "dlq_kind", "dlq_reason", "dlq_rejected_at", "dlq_consumer_group"
ATTEMPTS = "dlq_attempts"  # how often the event was rejected
# A record of the dead letter topic with this header is not a dead letter but a resolution of one (letter.py).
RESOLVES = "dlq_resolves"
# A letter has these two where a part of the record is cut, because this topic does not take the whole (truncation.py).
# TRUNCATED has the whole size in bytes of each part that is cut, such as `600000, key 1200, headers 5000`; the number
# without a name is the value's. The origin topic has the whole record until its retention ends.
TRUNCATED = "dlq_truncated"
VALUE_SHA256 = "dlq_value_sha256"  # of the whole value, in hexadecimal
KEY_ADDED = "dlq_key_added"  # the record has no key; a compacted topic does not take a letter without one
TIMESTAMP = "dlq_timestamp"  # the record's, in milliseconds, where it has none (-1) or this topic does not take it
ATTEMPTS_TEXT = re.compile("[0-9]{1,6}")
Headers: TypeAlias = Sequence[tuple[str, bytes]]


def describe_truncation(text: str) -> str:
    """Reads what TRUNCATED says, as `value 600000, key 1200`: what is cut, and its whole size in bytes."""
    return f"value {text}" if text[:1].isdigit() else text


def own_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """Keeps only the headers that came with the record."""
    return [(name, value) for name, value in headers if not name.startswith(PREFIX)]


def count_attempts(headers: Headers) -> int:
    """Reads how often an event with these headers was rejected; 0 for nonsense, because any producer can write it."""
    text = (dict(headers).get(ATTEMPTS) or b"").decode(errors="replace")
    return int(text) if ATTEMPTS_TEXT.fullmatch(text) else 0
