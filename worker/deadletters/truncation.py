"""Fits dead letters to what their topic takes, because nothing may hold up what comes behind them. Pure.

Nobody asks Kafka for the topic's limit: the question needs a right of its own, and the limit holds for what is left of
a record after compression. The writer tries one letter after the other.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple

from events.producer import OutgoingRecord
from worker.deadletters.headers import GROUP, PREFIX, REASON, TRUNCATED, VALUE_SHA256, own_headers
from worker.stream.cut_record import Parts


class KeptBytes(NamedTuple):
    """Says how many bytes of each part of a letter are kept."""

    value: int
    key: int
    headers: int  # the record's own; each is kept whole or not at all
    text: int  # of the reason, and of the consumer group's name


EVERYTHING = sys.maxsize
KEPT = (
    KeptBytes(100_000, EVERYTHING, EVERYTHING, EVERYTHING),
    KeptBytes(10_000, 1_000, 4_000, 1_000),
    KeptBytes(0, 0, 0, 200),
)
SHORTEST = 1_200  # bytes, enough for a letter that keeps the least, with the longest name that a topic can have
ELLIPSIS = "…".encode()


def shorten(letter: OutgoingRecord) -> Iterator[OutgoingRecord]:
    """Yields ever shorter letters of the same record. Only the worker's own headers are left in the last.

    A letter of which a part of the record was cut says so in the header TRUNCATED, and has the digest of its whole
    value. A letter that says so already keeps saying it. A letter of which only the reason was cut still has its
    record whole.
    """
    last = letter
    for most in KEPT:
        shorter = _fit(letter, most)
        if shorter != last:
            yield shorter
        last = shorter


def _fit(letter: OutgoingRecord, most: KeptBytes) -> OutgoingRecord:
    whole = Parts(letter.value, letter.key, own_headers(letter.headers))
    kept = whole.cut(most.value, most.key, most.headers)
    ours = [(name, _cut_text(name, text, most.text)) for name, text in letter.headers if name.startswith(PREFIX)]
    if kept != whole:  # a CutRecord's letter has said something of its whole record
        said = dict(ours)
        digest = said.get(VALUE_SHA256, sha256(letter.value or b"").hexdigest().encode())
        truncated = whole.describe_cut(kept, said.get(TRUNCATED, b"").decode()).encode()
        ours = [(name, text) for name, text in ours if name not in (TRUNCATED, VALUE_SHA256)]
        ours += [(TRUNCATED, truncated), (VALUE_SHA256, digest)]
    return replace(letter, key=kept.key, value=kept.value, headers=[*kept.headers, *ours])


def _cut_text(name: str, text: bytes, most: int) -> bytes:
    if name not in (REASON, GROUP) or len(text) <= most:
        return text
    return text[:most].decode(errors="ignore").encode() + ELLIPSIS
