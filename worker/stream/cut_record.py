"""Bounds the bytes that are kept of a record: whoever may write to a topic decides how large its records are."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import sha256

from events.producer import OutgoingRecord
from worker.stream.outcome import Record

LARGEST_RECORD = 2 * 1024 * 1024  # bytes of key, value and headers, inflated
KEPT_VALUE, KEPT_KEY, KEPT_HEADERS = 100_000, 1_000, 4_000  # bytes of a larger one
HEADER_LENGTHS = 10  # bytes, at most, that Kafka needs for the lengths of a header's name and value


@dataclass
class CutRecord(Record):  # type: ignore[misc]
    """The beginning of a record, or of a batch of records, that is larger than a worker takes."""

    why: str  # one line, without data
    sizes: str  # of the whole, as the header TRUNCATED has them (deadletters/headers.py)
    value_sha256: str  # of the whole value, in hexadecimal; empty where it is not known


def measure(record: Record | OutgoingRecord) -> int:
    """Returns the bytes of a record, without the few in which Kafka keeps its lengths."""
    return len(record.key or b"") + len(record.value or b"") + sum(map(measure_header, record.headers))


def measure_header(header: tuple[str, bytes | None]) -> int:
    name, value = header
    return len(name.encode()) + len(value or b"")


def cut(record: Record) -> Record:
    """Returns the record itself, or a CutRecord of one that is larger than LARGEST_RECORD."""
    size = measure(record)
    if size <= LARGEST_RECORD:
        return record
    parts = {
        "": len(record.value or b""),
        "key ": len(record.key or b""),
        "headers ": sum(map(measure_header, record.headers)),
    }
    kept = {
        "key": record.key and record.key[:KEPT_KEY],
        "value": record.value and record.value[:KEPT_VALUE],
        "headers": keep_fitting(record.headers, KEPT_HEADERS),
    }
    return CutRecord(
        **{field.name: getattr(record, field.name) for field in fields(Record)} | kept,
        why=f"the record has {size:,} bytes: a worker takes at most {LARGEST_RECORD:,}, inflated",
        sizes=", ".join(f"{name}{number}" for name, number in parts.items()),
        value_sha256=sha256(record.value or b"").hexdigest(),
    )


def keep_fitting(headers: Sequence[tuple[str, bytes]], room: int) -> list[tuple[str, bytes]]:
    """Keeps each header, in order, that fits into what the ones before it have left."""
    kept = []
    for header in headers:
        size = measure_header(header) + HEADER_LENGTHS
        if size <= room:
            kept.append(header)
            room -= size
    return kept
