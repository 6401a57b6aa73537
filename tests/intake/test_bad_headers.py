"""What aiokafka cannot hand out is read all the same, and what is too large beside it is not."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from worker.intake.bad_headers import fetch_with_bad_headers
from worker.kafka.inflation import LARGEST_BATCH, bound_inflation
from worker.stream.cut_record import LARGEST_RECORD, CutRecord
from worker.stream.outcome import BadHeaderRecord

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)
bound_inflation()


class NotUtf8(str):
    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"caf\xe9"


def stored(base: int, *values: bytes, name: str = "x", codec: int = 4) -> bytes:
    """Builds a batch of records as Kafka stores it, each with a header of this name."""
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, -1, 1 << 40)
    for number, value in enumerate(values):
        builder.append(number, 1_700_000_000_000, None, value, [(name, b"1")])
    return base.to_bytes(8, "big") + bytes(builder.build())[8:]


class FakeConsumer:
    """Answers with what each partition has stored."""

    def __init__(self, logs: dict[TopicPartition, bytes]) -> None:
        self._logs = logs
        self._client = self
        self.cluster = SimpleNamespace(leader_for_partition=lambda _: 1)

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def send(self, _: int, request: Any) -> Any:
        [(topic, [(partition, *_)])] = request._topics
        log = self._logs[TopicPartition(topic, partition)]
        return SimpleNamespace(API_VERSION=11, topics=[(topic, [(partition, 0, 99, 99, 0, None, -1, log)])])


@pytest.mark.parametrize("codec", range(5))
async def test_such_a_record_is_read_with_those_beside_it_and_what_is_too_large_is_cut(codec: int) -> None:
    log = stored(0, b"a", b"b", codec=codec) + stored(2, b"c", name=NotUtf8(), codec=codec)
    log += stored(3, bytes(LARGEST_RECORD), codec=codec)

    positions, found = await fetch_with_bad_headers(FakeConsumer({P0: stored(0, b"a"), P1: log}), {P0: 0, P1: None}, 99)

    assert positions == {P0: 0, P1: 4}
    assert [type(record).__name__ for record in found[P1]] == [
        "ConsumerRecord", "ConsumerRecord", "BadHeaderRecord", "CutRecord",
    ]  # fmt: skip
    assert [name for name, _ in found[P1][2].headers] == ["caf\\xe9"]
    assert found.keys() == {P1}


async def test_a_batch_that_is_too_large_beside_such_a_record_is_one_record() -> None:
    log = stored(0, bytes(LARGEST_BATCH + 1), b"", name=NotUtf8()) + stored(2, b"c", name=NotUtf8())
    consumer = FakeConsumer({P0: log})

    positions, found = await fetch_with_bad_headers(consumer, {P0: 0}, 99)
    assert ([type(record) for record in found[P0]], positions) == ([CutRecord], {P0: 2})

    consumer = FakeConsumer({P0: stored(2, b"c", name=NotUtf8())})
    positions, found = await fetch_with_bad_headers(consumer, positions, 99)
    assert ([type(record) for record in found[P0]], positions) == ([BadHeaderRecord], {P0: 3})


async def test_one_partition_is_read_at_a_time() -> None:
    log = stored(0, b"c", name=NotUtf8())

    positions, found = await fetch_with_bad_headers(FakeConsumer({P0: log, P1: log}), {P0: 0, P1: 0}, 99)

    assert positions == {P0: 1, P1: 0}
    assert found.keys() == {P0}
