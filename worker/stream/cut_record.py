"""Bounds the bytes that are kept of a record: whoever may write to a topic decides how large its records are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import NamedTuple

from events.producer import OutgoingRecord
from worker.stream.outcome import Record

LARGEST_RECORD = 2 * 1024 * 1024  # bytes of key, value and headers, inflated
KEPT_VALUE, KEPT_KEY, KEPT_HEADERS = 100_000, 1_000, 4_000  # bytes of a larger one
HEADER_LENGTHS = 10  # bytes, at most, that Kafka needs for the lengths of a header's name and value


@dataclass
class CutRecord(Record):  # type: ignore[misc]
    """Holds the beginning of a record, or of a batch of records, that is larger than a worker takes."""

    why: str  # one line, without data
    sizes: str  # of what is cut, as the header TRUNCATED has them (deadletters/headers.py)
    value_sha256: str  # of the whole value, in hexadecimal; empty where it is not known


def measure(record: Record | OutgoingRecord) -> int:
    """Returns the bytes of a record, without the few in which Kafka keeps its lengths."""
    return len(record.key or b"") + len(record.value or b"") + measure_headers(record.headers)


def measure_headers(headers: Iterable[tuple[str, bytes | None]]) -> int:
    return sum(map(measure_header, headers))


def measure_header(header: tuple[str, bytes | None]) -> int:
    name, value = header
    return len(name.encode()) + len(value or b"")


class Parts(NamedTuple):
    """Holds the parts of a record that may be cut."""

    value: bytes | None
    key: bytes | None
    headers: list[tuple[str, bytes]]

    def cut(self, value: int, key: int, headers: int) -> "Parts":
        """Keeps so many bytes of each part, at most; of the headers those that fit whole."""
        return Parts(
            self.value and self.value[:value], self.key and self.key[:key], keep_fitting(self.headers, headers)
        )

    def describe_cut(self, kept: "Parts", before: str = "") -> str:
        """Returns the whole size in bytes of each part that was cut, as the header TRUNCATED has it.

        `before` is what was said of these parts when they were cut the first time.
        """
        said = {part.rpartition(" ")[0]: part for part in before.split(", ") if part}
        sizes = {"": len(self.value or b""), "key": len(self.key or b""), "headers": measure_headers(self.headers)}
        for (name, size), whole, part in zip(sizes.items(), self, kept, strict=True):
            if part != whole:
                said.setdefault(name, f"{name} {size}".lstrip())
        return ", ".join(said[name] for name in sizes if name in said)


def cut(record: Record) -> Record:
    """Returns the record itself, or a CutRecord of one that is larger than LARGEST_RECORD."""
    size = measure(record)
    if size <= LARGEST_RECORD:
        return record
    whole = Parts(record.value, record.key, list(record.headers))
    kept = whole.cut(KEPT_VALUE, KEPT_KEY, KEPT_HEADERS)
    return CutRecord(
        **{field.name: getattr(record, field.name) for field in fields(Record)} | kept._asdict(),
        why=f"the record has {size:,} bytes: a worker takes at most {LARGEST_RECORD:,}, inflated",
        sizes=whole.describe_cut(kept),
        value_sha256=sha256(record.value or b"").hexdigest(),
    )


def keep_fitting(headers: Sequence[tuple[str, bytes]], left: int) -> list[tuple[str, bytes]]:
    """Keeps each header, in order, that fits into the `left` bytes, or what the ones before it have left of them."""
    kept = []
    for header in headers:
        size = measure_header(header) + HEADER_LENGTHS
        if size <= left:
            kept.append(header)
            left -= size
    return kept
