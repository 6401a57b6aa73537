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
from worker.deadletters.headers import (
    GROUP,
    KEY_ADDED,
    OFFSET,
    PARTITION,
    PREFIX,
    REASON,
    TIMESTAMP,
    TOPIC,
    TRUNCATED,
    VALUE_SHA256,
    own_headers,
)
from worker.stream.cut_record import keep_fitting, measure_header


class Room(NamedTuple):
    """Says how many bytes of each part of a letter are kept."""

    value: int
    key: int
    headers: int  # the record's own; each is kept whole or not at all
    text: int  # of the reason, and of the consumer group's name


EVERYTHING = sys.maxsize
ROOMS = (
    Room(100_000, EVERYTHING, EVERYTHING, EVERYTHING),
    Room(10_000, 1_000, 4_000, 1_000),
    Room(0, 0, 0, 200),
)
SHORTEST = 1_200  # bytes, enough for a letter with the last room, with the longest name that a topic can have
ELLIPSIS = "…".encode()


def shorten(letter: OutgoingRecord) -> Iterator[OutgoingRecord]:
    """Yields ever shorter letters of the same record. Only the worker's own headers are left in the last.

    A letter of which a part of the record was cut says so in the header TRUNCATED, and has the digest of its whole
    value. A letter that says so already keeps saying it. A letter of which only the reason was cut still has its
    record whole.
    """
    last = letter
    for room in ROOMS:
        shorter = _fit(letter, room)
        if shorter != last:
            yield shorter
        last = shorter


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


def _fit(letter: OutgoingRecord, room: Room) -> OutgoingRecord:
    value, key = _cut(letter.value, room.value), _cut(letter.key, room.key)
    own = own_headers(letter.headers)
    kept = keep_fitting(own, room.headers)
    parts = [
        ("", len(letter.value or b""), value != letter.value),
        ("key ", len(letter.key or b""), key != letter.key),
        ("headers ", sum(map(measure_header, own)), kept != own),
    ]
    truncated = ", ".join(f"{name}{size}" for name, size, is_cut in parts if is_cut)
    ours = [(name, _cut_text(name, text, room.text)) for name, text in letter.headers if name.startswith(PREFIX)]
    if truncated and TRUNCATED not in dict(ours):  # a CutRecord's letter has the sizes of its whole record
        digest = sha256(letter.value or b"").hexdigest()
        ours += [(TRUNCATED, truncated.encode()), (VALUE_SHA256, digest.encode())]
    return replace(letter, key=key, value=value, headers=[*kept, *ours])


def _cut(part: bytes | None, room: int) -> bytes | None:
    return part if part is None else part[:room]


def _cut_text(name: str, text: bytes, room: int) -> bytes:
    if name not in (REASON, GROUP) or len(text) <= room:
        return text
    return text[:room].decode(errors="ignore").encode() + ELLIPSIS
