"""The headers of a dead letter."""

import re
from collections.abc import Sequence
from typing import TypeAlias

# Headers with this prefix are ours. A dead letter has all of these beside the record's own; a replayed record has
# ATTEMPTS alone. Together the first three identify the record, also when it was written twice.
PREFIX = "dlq_"
TOPIC, PARTITION, OFFSET = "dlq_topic", "dlq_partition", "dlq_offset"
KIND, REASON, REJECTED_AT, GROUP = "dlq_kind", "dlq_reason", "dlq_rejected_at", "dlq_consumer_group"
ATTEMPTS = "dlq_attempts"  # how often the event was rejected
# A record of the dead letter topic that has this is no dead letter: it says what became of one (letter.py).
RESOLVES = "dlq_resolves"
# The bytes that the value had: compressed it fitted into a record, and not into this topic (retention of its origin
# permitting, it is still there).
TRUNCATED = "dlq_truncated"
ATTEMPTS_TEXT = re.compile("[0-9]{1,6}")
Headers: TypeAlias = Sequence[tuple[str, bytes]]


def own_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """The headers that came with the record."""
    return [(name, value) for name, value in headers if not name.startswith(PREFIX)]


def count_attempts(headers: Headers) -> int:
    """How often an event with these headers was rejected. Anybody can write a header: nonsense is 0."""
    text = (dict(headers).get(ATTEMPTS) or b"").decode(errors="replace")
    return int(text) if ATTEMPTS_TEXT.fullmatch(text) else 0
