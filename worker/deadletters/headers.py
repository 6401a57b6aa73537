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
# The size of the whole value in bytes, where the letter has only its beginning: compressed, the value fitted into its
# own topic but not into this one. The origin topic has the whole value until its retention ends.
TRUNCATED = "dlq_truncated"
ATTEMPTS_TEXT = re.compile("[0-9]{1,6}")
Headers: TypeAlias = Sequence[tuple[str, bytes]]


def own_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """Keeps only the headers that came with the record."""
    return [(name, value) for name, value in headers if not name.startswith(PREFIX)]


def count_attempts(headers: Headers) -> int:
    """Reads how often an event with these headers was rejected; 0 for nonsense, because any producer can write it."""
    text = (dict(headers).get(ATTEMPTS) or b"").decode(errors="replace")
    return int(text) if ATTEMPTS_TEXT.fullmatch(text) else 0
