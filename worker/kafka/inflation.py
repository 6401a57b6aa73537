"""Bounds what aiokafka inflates: what Kafka stores in 70 KB may be gigabytes, and its brokers do not mind.

aiokafka inflates a whole batch of records before it hands out the first. Its decoders are therefore replaced, in this
process, by those below. They write into a buffer of a fixed size, so what is larger is never inflated beyond it.
"""

import mmap
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiokafka.consumer.fetcher
import aiokafka.record.default_records
import aiokafka.record.legacy_records
import cramjam
from aiokafka import TopicPartition
from aiokafka.codec import _detect_xerial_stream
from aiokafka.errors import CorruptRecordException
from aiokafka.record._crecords import default_records, legacy_records

from worker.stream.cut_record import CutRecord

LARGEST_BATCH = 64 * 1024 * 1024  # bytes of one batch of records, inflated
MOST_AT_ONCE = 16 * 1024 * 1024  # bytes, inflated, after which a fetch begins no further batch
LARGEST_FETCH = 16 * 1024 * 1024  # bytes, as stored, of one answer of a broker; one batch is always answered whole
USUAL_BATCH = 1024 * 1024  # bytes; the memory for a larger one is given back at once
XERIAL_HEADER = 16  # bytes


class BatchRefused(CorruptRecordException):  # type: ignore[misc]
    """Says that a batch of records is too large, inflated, or cannot be inflated at all."""


@dataclass(slots=True)
class InflationLimit:
    """Says how much is inflated at a time, and notes how much was."""

    most: int  # bytes, after which no further batch is begun
    largest: int = LARGEST_BATCH  # bytes of one batch
    taken: int = 0
    largest_taken: int = 0

    def note(self, size: int) -> None:
        """Notes a batch that was inflated."""
        self.taken += size
        self.largest_taken = max(self.largest_taken, size)


LIMIT: ContextVar[InflationLimit | None] = ContextVar("LIMIT", default=None)


@contextmanager
def limit_inflation(most: int = MOST_AT_ONCE, largest: int = LARGEST_BATCH) -> Iterator[InflationLimit]:
    """Has a fetch within this context begin no further batch once `most` bytes are inflated.

    So it returns records of at most `most` + `largest` bytes. What was fetched and not begun is fetched again.
    """
    limit = InflationLimit(most, largest)
    token = LIMIT.set(limit)
    try:
        yield limit
    finally:
        LIMIT.reset(token)


class _Scratch(threading.local):
    """Holds the buffer of each thread. Linux gives memory only for what was written to it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, LARGEST_BATCH, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.view = memoryview(self._memory)

    def give_back(self) -> None:
        """Gives the memory that was written to back to Linux."""
        self._memory.madvise(mmap.MADV_DONTNEED)


_scratch = _Scratch()


def _inflate(write: Callable[[Any, memoryview], int], payload: Any) -> bytes:
    """Has `write` inflate the payload into the buffer. Raises BatchRefused."""
    limit = LIMIT.get()
    largest = limit.largest if limit else LARGEST_BATCH
    try:
        inflated = bytes(_scratch.view[: write(payload, _scratch.view[:largest])])
    except (cramjam.DecompressionError, struct.error, ValueError) as error:
        _scratch.give_back()
        if limit:
            limit.note(largest)
        raise BatchRefused(f"more than {largest:,} bytes, inflated, or cannot be inflated ({error})") from None
    if len(inflated) > USUAL_BATCH:
        _scratch.give_back()
    if limit:
        limit.note(len(inflated))
    return inflated


def decode_gzip(payload: Any) -> bytes:
    return _inflate(cramjam.gzip.decompress_into, payload)


def decode_lz4(payload: Any) -> bytes:
    return _inflate(cramjam.lz4.decompress_into, payload)


def decode_zstd(payload: Any) -> bytes:
    return _inflate(cramjam.zstd.decompress_into, payload)


def decode_snappy(payload: Any) -> bytes:
    return _inflate(_write_xerial if _detect_xerial_stream(payload) else _write_snappy, payload)


def _write_snappy(payload: Any, buffer: memoryview) -> int:
    if cramjam.snappy.decompress_raw_len(payload) > len(buffer):
        raise ValueError("too large")
    return int(cramjam.snappy.decompress_raw_into(payload, buffer))


def _write_xerial(payload: bytes, buffer: memoryview) -> int:
    """Inflates Snappy's blocks as Java writes them, each with its length before it."""
    position, written = XERIAL_HEADER, 0
    while position < len(payload):
        (length,) = struct.unpack_from("!i", payload, position)
        position += 4
        if not 0 < length <= len(payload) - position:
            raise ValueError("the length of a Snappy block is wrong")
        written += _write_snappy(payload[position : position + length], buffer[written:])
        position += length
    return written


class _Batches:
    """Hands out the batches that were fetched, until the limit is reached."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches
        self._size: int = batches.size_in_bytes()  # as stored: what is not compressed is not inflated
        self.last: Any = None  # the batch that was handed out last

    def has_next(self) -> bool:
        limit = LIMIT.get()
        if limit:
            if limit.taken >= limit.most:
                return False
            limit.largest_taken = max(limit.largest_taken, self._size)
        return bool(self._batches.has_next())

    def next_batch(self) -> Any:
        self.last = None  # or its bytes stay until the next is inflated
        self.last = self._batches.next_batch()
        return self.last


class BoundedRecords(aiokafka.consumer.fetcher.PartitionRecords):  # type: ignore[misc]
    """Reads what was fetched of a partition. A batch that is refused becomes one CutRecord with its last offset."""

    next_fetch_offset: int

    def __init__(self, tp: TopicPartition, records: Any, *arguments: Any) -> None:
        super().__init__(tp, _Batches(records), *arguments)

    def _unpack_records(self) -> Iterator[Any]:
        while True:
            try:
                yield from super()._unpack_records()
            except BatchRefused as refused:
                batch = self._records.last
                if batch.next_offset > self.next_fetch_offset:
                    self.next_fetch_offset = batch.next_offset
                    yield _describe_refused(self._tp, batch, str(refused.args[0]))
            else:
                return


def _describe_refused(tp: TopicPartition, batch: Any, why: str) -> CutRecord:
    last = batch.next_offset - 1
    first = getattr(batch, "base_offset", last)  # those from before Kafka 0.11 do not say it
    return CutRecord(
        topic=tp.topic,
        partition=tp.partition,
        offset=last,
        timestamp=getattr(batch, "max_timestamp", -1),
        timestamp_type=0,
        key=None,
        value=b"",
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=0,
        headers=(),
        why=f"the batch of records at the offsets {first} to {last} has {why}",
        sizes="batch",
        value_sha256="",
    )


def bound_inflation() -> None:
    """Has every consumer of this process inflate within these bounds. May be called again."""
    aiokafka.consumer.fetcher.PartitionRecords = BoundedRecords
    for module in (aiokafka.record.default_records, aiokafka.record.legacy_records, default_records, legacy_records):
        for decode in (decode_gzip, decode_lz4, decode_zstd, decode_snappy):
            name = f"{decode.__name__.removeprefix('decode_')}_decode"
            if hasattr(module, name):
                setattr(module, name, decode)
