"""However much a batch of records holds once it is inflated, a consumer takes it in portions, or refuses it whole."""

import struct
from typing import Any

import aiokafka.codec
import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy
from hypothesis import given
from hypothesis import strategies as st

from worker.kafka.inflation import (
    LARGEST_BATCH,
    BatchRefused,
    BoundedRecords,
    bound_inflation,
    decode_gzip,
    decode_lz4,
    decode_snappy,
    decode_zstd,
    limit_inflation,
)
from worker.stream.cut_record import CutRecord

TP = TopicPartition("lesson-events", 3)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
bound_inflation()


def stored(base: int, values: list[bytes], codec: str = "zstd") -> bytes:
    """Builds a batch of records as Kafka stores it."""
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, -1, -1, 0, 1 << 40)
    for number, value in enumerate(values):
        builder.append(number, 1_700_000_000_000, b"key", value, [])
    batch = bytearray(builder.build())
    struct.pack_into(">q", batch, 0, base)
    return bytes(batch)


def fetched(data: bytes, reader: Any = MemoryRecords, offset: int = 0) -> BoundedRecords:
    return BoundedRecords(TP, reader(data), None, offset, None, None, True, READ_COMMITTED)


@pytest.mark.parametrize("reader", [MemoryRecords, _MemoryRecordsPy])
@pytest.mark.parametrize("codec", CODECS)
def test_what_is_small_enough_is_read_as_it_was_sent(codec: str, reader: Any) -> None:
    values = [b"a" * 1000, b"", b"b" * 200_000]

    records = list(fetched(stored(5, values, codec), reader, offset=5))

    assert [(record.offset, record.value) for record in records] == [(5, values[0]), (6, values[1]), (7, values[2])]


@pytest.mark.parametrize("reader", [MemoryRecords, _MemoryRecordsPy])
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_batch_that_is_too_large_is_one_record_with_its_offsets_and_the_next_batch_is_read(
    codec: str, reader: Any
) -> None:
    data = stored(5, [b"a" * 900, b"b" * 900], codec) + stored(7, [b"behind"], codec)

    with limit_inflation(most=10_000, largest=1000):
        records = fetched(data, reader, offset=5)
        refused, behind = list(records)

    assert isinstance(refused, CutRecord)
    assert (refused.offset, refused.value, refused.sizes) == (6, b"", "batch")
    assert "offsets 5 to 6 has more than 1,000 bytes" in refused.why
    assert (behind.offset, behind.value, records.next_fetch_offset) == (7, b"behind", 8)


def test_without_any_other_limit_a_batch_has_64_mib() -> None:
    within, beyond = stored(0, [bytes(LARGEST_BATCH - 100)]), stored(0, [bytes(LARGEST_BATCH + 1)])

    assert [len(record.value) for record in fetched(within)] == [LARGEST_BATCH - 100]
    assert [type(record) for record in fetched(beyond)] == [CutRecord]


@pytest.mark.parametrize("decode", [decode_gzip, decode_snappy, decode_lz4, decode_zstd])
@pytest.mark.parametrize("payload", [b"", b"\xff" * 50, b"\x00" * 50])
def test_what_cannot_be_inflated_is_refused(decode: Any, payload: bytes) -> None:
    with pytest.raises(BatchRefused):
        decode(payload)


@pytest.mark.parametrize("length", [-4, 0, 7, 2**31 - 1])
def test_snappy_blocks_whose_length_is_wrong_are_refused(length: int) -> None:
    whole = bytearray(aiokafka.codec.snappy_encode(b"text"))
    struct.pack_into("!i", whole, 16, length)

    with pytest.raises(BatchRefused):
        decode_snappy(bytes(whole))


def test_snappy_is_read_with_blocks_and_without() -> None:
    text = b"text " * 20_000

    assert decode_snappy(bytes(cramjam.snappy.compress_raw(text))) == text
    assert decode_snappy(aiokafka.codec.snappy_encode(text)) == text


@given(
    sizes=st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=4), min_size=1, max_size=6),
    most=st.integers(1, 1000),
    largest=st.integers(50, 600),
    data=st.data(),
)
def test_in_whatever_portions_every_offset_is_read_once_and_no_portion_is_larger(
    sizes: list[list[int]], most: int, largest: int, data: st.DataObject
) -> None:
    codec = data.draw(st.sampled_from(["gzip", "snappy", "lz4", "zstd"]))
    log, ends, end = [], [], 0
    for batch in sizes:
        log.append(stored(end, [b"x" * size for size in batch], codec))
        end += len(batch)
        ends.append(end)
    read: list[Any] = []
    position = 0

    while position < end:
        with limit_inflation(most, largest):
            # As a broker answers: from the batch that has the offset.
            records = fetched(b"".join(log[sum(behind <= position for behind in ends) :]), offset=position)
            portion = list(records)
        assert portion
        assert sum(len(record.value) for record in portion) <= most + largest
        position = records.next_fetch_offset
        read += portion

    whole = [record.offset for record in read if not isinstance(record, CutRecord)]
    refused = {record.offset + 1 for record in read if isinstance(record, CutRecord)}
    expected = [
        offset
        for before, after in zip([0, *ends], ends, strict=False)
        if after not in refused
        for offset in range(before, after)
    ]
    assert whole == expected
    assert refused <= set(ends)
