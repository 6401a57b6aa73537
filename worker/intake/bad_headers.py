"""Reads the records that aiokafka cannot hand out, because the name of a header is not UTF-8.

Kafka's protocol forbids such a name, its brokers store it all the same, and aiokafka raises for the whole fetch.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException, LeaderNotAvailableError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy
from aiokafka.record.util import decode_varint_py

from worker.kafka.inflation import BoundedRecords, limit_inflation
from worker.stream.cut_record import cut
from worker.stream.outcome import BadHeaderRecord, Record

PAGE_BYTES = 1024 * 1024  # as much as aiokafka fetches of a partition, so the record that it failed at is in it


class _Name(str):
    """Marks the name of a header that is not UTF-8; backslashes stand for the bytes that are not."""

    __slots__ = ()


class _Buffer:
    """Wraps the bytes that aiokafka's reader in Python decodes names from, and copies none of them."""

    def __init__(self, view: memoryview) -> None:
        self._view = view

    def __len__(self) -> int:
        return len(self._view)

    def __getitem__(self, index: Any) -> Any:
        found = self._view[index]
        return _Buffer(found) if isinstance(found, memoryview) else found

    def __bytes__(self) -> bytes:
        return bytes(self._view)

    def decode(self, encoding: str) -> str:
        try:
            return str(self._view, encoding)
        except UnicodeDecodeError:
            return _Name(str(self._view, encoding, "backslashreplace"))


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc]
    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: Any = _Buffer(memoryview(self._buffer))

    def _read_msg(self, *_: object) -> Any:
        return super()._read_msg(decode_varint_py)  # the one in C takes nothing but bytes


class _Batches(_MemoryRecordsPy):  # type: ignore[misc]
    def next_batch(self) -> Any:
        stored = self._next_slice
        batch = super().next_batch()
        return _Batch(stored) if batch.magic >= 2 else batch  # older ones have no headers


async def fetch_with_bad_headers(
    consumer: AIOKafkaConsumer, start: Mapping[TopicPartition, int | None], most: int
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, list[Record]]]:
    """Fetches, of the first partition that has such a record at `start` (None: the log's beginning), up to `most`.

    Records that aiokafka cannot read are BadHeaderRecord. Without such a partition there are no records. Returns where
    each partition goes on, and the records. Does not move the consumer. Raises KafkaError.
    """
    positions = await consumer.beginning_offsets([tp for tp, offset in start.items() if offset is None])
    positions |= {tp: offset for tp, offset in start.items() if offset is not None}
    found: dict[TopicPartition, list[Record]] = {}
    for tp, offset in positions.copy().items():
        stored, aborted = await _fetch(consumer, tp, offset)
        if _is_readable(_records(tp, MemoryRecords(stored), aborted, offset)):
            continue
        lenient = _records(tp, _Batches(stored), aborted, offset)
        with limit_inflation():
            found[tp] = [cut(_mark(record)) for record in islice(lenient, most)]
        positions[tp] = lenient.next_fetch_offset
        break  # the others follow in the next turns, because records of each may be as many bytes as a batch may have
    return positions, found


def _is_readable(records: Iterable[Record]) -> bool:
    """Tells whether aiokafka can read them. It fails also at records before the offset, if they are in one batch."""
    try:
        deque(records, maxlen=0)
    except (UnicodeDecodeError, CorruptRecordException):
        return False
    return True


def _mark(record: Record) -> Record:
    if not any(isinstance(name, _Name) for name, _ in record.headers):
        return record
    headers = tuple((str(name), value) for name, value in record.headers)
    return BadHeaderRecord(
        **{name: getattr(record, name) for name in record.__dataclass_fields__} | {"headers": headers}
    )


def _records(tp: TopicPartition, batches: Any, aborted: Any, offset: int) -> BoundedRecords:
    return BoundedRecords(tp, batches, aborted, offset, None, None, True, READ_COMMITTED)


async def _fetch(consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int) -> tuple[bytes, Any]:
    """Fetches the bytes that are stored from `offset` on, and the transactions in them that were aborted."""
    client = consumer._client
    node = client.cluster.leader_for_partition(tp)
    if node is None or node == -1:
        raise LeaderNotAvailableError(tp)
    wanted = [(tp.topic, [(tp.partition, offset, PAGE_BYTES)])]
    response = await client.send(node, FetchRequest(0, 1, PAGE_BYTES, READ_COMMITTED, wanted, rack_id=""))
    [(_, [(_, error, _, *parts)])] = response.topics
    if error:
        raise for_code(error)(tp)
    return parts[-1], parts[2] if response.API_VERSION >= 11 else parts[-2]
