"""What the worker writes about a record that can never be applied."""

import random
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.errors import InvalidTimestampError, MessageSizeTooLargeError, UnknownError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from events.kinds import Kind
from events.producer import OutgoingRecord, Producer, PublishFailed
from tests.factories import record
from tests.topics import records_of
from worker.deadletters.headers import own_headers
from worker.deadletters.letter import Letter, read_entry
from worker.deadletters.truncation import SHORTEST
from worker.deadletters.writer import DeadLetterWriter
from worker.errors import SetupError
from worker.kafka.client import client_arguments
from worker.kafka.topics import LARGEST_REQUEST
from worker.settings import Settings
from worker.stream.cut_record import LARGEST_RECORD, cut
from worker.stream.outcome import Record, Rejected


def counted(kind: Kind) -> float:
    return REGISTRY.get_sample_value("progress_dead_letters_total", {"kind": kind}) or 0


async def letters(settings: Settings, rejected: list[Rejected]) -> list[dict[str, bytes]]:
    """Returns the headers that the dead letters of these have, in their order."""
    async with Producer(**client_arguments(settings)) as producer:
        await DeadLetterWriter(settings, producer, settings.consumer_group).write(rejected)
    written = await records_of(settings, settings.dead_letter_topic, len(rejected))
    in_order: list[ConsumerRecord] = sorted(written, key=lambda letter: dict(letter.headers)["dlq_offset"])
    return [dict(letter.headers) for letter in in_order]


async def test_dead_letters_have_a_kind_and_are_counted_by_it(settings: Settings) -> None:
    before = counted(Kind.SCHEMA)
    kinds = [Kind.SCHEMA, Kind.SCHEMA, Kind.TIME]

    written = await letters(settings, [Rejected(record(offset=n), "why", kind) for n, kind in enumerate(kinds)])

    assert [letter["dlq_kind"].decode() for letter in written] == kinds
    assert counted(Kind.SCHEMA) == before + 2


async def test_a_record_without_a_timestamp_has_none_in_its_letter_either(settings: Settings) -> None:
    stamps = [-1, -1, 1_767_000_000_000, -1]
    async with Producer(**client_arguments(settings)) as producer:
        rejected = [Rejected(record(timestamp=stamp), "why", Kind.TIME) for stamp in stamps]
        await DeadLetterWriter(settings, producer, settings.consumer_group).write(rejected)

    written = map(read_entry, await records_of(settings, settings.dead_letter_topic, len(stamps)))

    assert sorted(letter.record.timestamp for letter in written) == sorted(stamps)


async def test_a_record_that_was_rejected_before_counts_its_attempts(settings: Settings) -> None:
    sent = [[], [("dlq_attempts", b"1")], [("dlq_attempts", b"9"), ("dlq_attempts", b"41")]]
    nonsense: list[list[tuple[str, bytes | None]]] = [[("dlq_attempts", b"-5")], [("dlq_attempts", None)]]

    written = await letters(
        settings,
        [Rejected(record(offset=n, headers=h), "why", Kind.SCHEMA) for n, h in enumerate([*sent, *nonsense])],
    )

    assert [letter["dlq_attempts"] for letter in written] == [b"1", b"2", b"42", b"1", b"1"]


async def test_what_a_producer_writes_into_our_headers_is_replaced(settings: Settings) -> None:
    forged = [("dlq_resolves", b"0:0"), ("dlq_offset", b"900"), ("trace", f"{uuid4()}".encode())]

    [letter] = await letters(settings, [Rejected(record(headers=forged), "why", Kind.SCHEMA)])

    assert "dlq_resolves" not in letter
    assert (letter["dlq_offset"], letter["trace"]) == (b"7", forged[2][1])


# Records that are too large for the topic

DEFAULT_LIMIT = 1_048_588  # Kafka's max.message.bytes
LONGEST_TOPIC = "t" * 249


class FakeTopic:
    """Takes the place of a producer whose topic has this max.message.bytes. Nothing is compressed."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken: list[OutgoingRecord] = []
        self.requests: list[int] = []  # their sizes

    async def send_all(self, records: list[OutgoingRecord]) -> None:
        self.requests.append(sum(map(stored_size, records)))
        for one in records:
            if stored_size(one) > self.limit:
                raise PublishFailed(one.topic, "not acknowledged") from MessageSizeTooLargeError()
        self.taken += records


def stored_size(one: OutgoingRecord) -> int:
    """Returns the size at most, as aiokafka computes it."""
    return int(DefaultRecordBatchBuilder.estimate_size_in_bytes(one.key, one.value, list(one.headers)))


async def written_to(topic: FakeTopic, rejected: list[Rejected], group: str = "g") -> list[Letter]:
    """Returns what is read back of the letters that the topic takes."""
    producer: Any = topic
    await DeadLetterWriter(Settings(dead_letter_topic="the.dlq"), producer, group).write(rejected)
    stored = [
        record(offset=n, key=one.key, value=one.value, headers=tuple(one.headers), timestamp=one.timestamp_ms)
        for n, one in enumerate(topic.taken)
    ]
    return [letter for letter in map(read_entry, stored) if isinstance(letter, Letter)]


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


unhurried = hypothesis_settings(deadline=None)  # the machine may be busy; pytest limits the time
sizes = st.sampled_from([0, 1, 300, 1_500, 20_000, 130_000])
parts = st.none() | sizes.map(noise)
names = sizes.map(lambda size: "é" * (size // 2))
headers = st.lists(st.tuples(names, parts), max_size=4) | st.tuples(st.integers(1, 20_000), parts).map(
    lambda many: [(f"h{n}", (many[1] or b"")[:10]) for n in range(many[0])]
)


@unhurried
@given(
    original=st.builds(record, key=parts, value=parts, headers=headers, topic=st.sampled_from(["t", LONGEST_TOPIC])),
    reason=sizes.map(lambda size: "…" * (size // 3)),
    group=st.sampled_from(["course-progress", "g" * 30_000]),
    limit=st.sampled_from([SHORTEST, 2_000, 16_384, 100_000, 250_000, DEFAULT_LIMIT]),
)
async def test_any_record_gets_a_letter_that_fits_and_says_whether_it_is_whole(
    original: Record, reason: str, group: str, limit: int
) -> None:
    [letter] = await written_to(FakeTopic(limit), [Rejected(original, reason, Kind.SCHEMA)], group)

    assert letter.origin is not None
    assert (letter.origin.topic, letter.origin.partition, letter.origin.offset) == (original.topic, 3, 7)
    assert (letter.kind, letter.attempts, letter.record.timestamp) == (Kind.SCHEMA, 1, original.timestamp)
    assert reason.startswith(letter.reason.removesuffix("…")[:200])
    assert bool(reason) == bool(letter.reason)
    is_whole = (letter.record.key, letter.record.value, letter.record.headers) == (
        original.key, original.value, own_headers(original.headers),
    )  # fmt: skip
    assert is_whole == (letter.truncated == "")
    assert letter.value_sha256 == ("" if is_whole else sha256(original.value or b"").hexdigest())


HUGE = 1_048_500
TOO_LARGE: dict[str, dict[str, Any]] = {
    "a header": {"headers": [("trace", noise(HUGE))]},
    "a header's name": {"headers": [("\\xff" * (HUGE // 4), b"1")]},
    "many headers": {"headers": [(f"h{n:06}", noise(10)) for n in range(HUGE // 16)]},
    "the key": {"key": noise(HUGE)},
    "value and headers": {"value": noise(HUGE // 2), "headers": [("trace", noise(HUGE // 2))]},
    "value, key and headers": {"value": noise(HUGE), "key": noise(HUGE), "headers": [("trace", noise(HUGE))]},
}


@pytest.mark.parametrize("what", TOO_LARGE)
@pytest.mark.parametrize("limit", [DEFAULT_LIMIT, 2_000])
async def test_whatever_makes_a_record_large_its_letter_and_those_beside_it_are_written(what: str, limit: int) -> None:
    changed: dict[str, Any] = {"value": b"not json"} | TOO_LARGE[what]
    large, small = record(**changed), record(value=b"[", offset=8)

    found, beside = await written_to(
        FakeTopic(limit), [Rejected(one, "not JSON", Kind.NOT_JSON) for one in (large, small)]
    )

    assert found.truncated
    assert found.origin is not None
    assert (found.origin.offset, found.reason) == (7, "not JSON")
    assert (beside.truncated, beside.record.value) == ("", b"[")


@pytest.mark.parametrize("limit", [10**9, DEFAULT_LIMIT, 12_000, SHORTEST])
async def test_the_letter_of_a_cut_record_has_the_sizes_of_the_whole_whatever_is_cut_again(limit: int) -> None:
    whole = record(key=b"k" * 5000, value=random.Random(1).randbytes(LARGEST_RECORD))

    [found] = await written_to(FakeTopic(limit), [Rejected(cut(whole), "large", Kind.TOO_LARGE)])

    assert f"{found.truncated}, ".startswith(f"value {LARGEST_RECORD}, key 5000, ")
    assert ("headers" in found.truncated) == (limit == SHORTEST)
    assert found.value_sha256 == sha256(whole.value).hexdigest()
    assert whole.value.startswith(found.record.value or b"")


class Particular(FakeTopic):
    """Stands for a compacted topic that takes no timestamp of the future, as Kafka by default."""

    async def send_all(self, records: list[OutgoingRecord]) -> None:
        for one in records:
            if one.key is None:
                raise PublishFailed(one.topic, "not acknowledged") from UnknownError()
            if (one.timestamp_ms or 0) > 1_000:
                raise PublishFailed(one.topic, "not acknowledged") from InvalidTimestampError()
        await super().send_all(records)


@pytest.mark.parametrize("key", [None, b"k"])
@pytest.mark.parametrize("timestamp", [-1, 1_000, 9_999_999_999_999])
async def test_a_letter_whose_key_or_timestamp_its_topic_refuses_is_written_and_read_as_it_was(
    key: bytes | None, timestamp: int
) -> None:
    rejected = [record(key=k, timestamp=t, offset=n) for n, (k, t) in enumerate([(key, timestamp), (b"k", 7)])]

    found = await written_to(Particular(DEFAULT_LIMIT), [Rejected(one, "", Kind.NOT_JSON) for one in rejected])

    assert [(letter.record.key, letter.record.timestamp) for letter in found] == [(key, timestamp), (b"k", 7)]
    assert [letter.origin.offset for letter in found if letter.origin] == [0, 1]


async def test_letters_that_are_too_large_for_one_request_go_one_after_the_other() -> None:
    topic = FakeTopic(10**9)
    value = bytes(LARGEST_REQUEST // 3)

    found = await written_to(topic, [Rejected(record(value=value, offset=n), "", Kind.NOT_JSON) for n in range(7)])

    assert [letter.record.offset for letter in found] == list(range(7))
    assert len(topic.requests) == 4
    assert max(topic.requests) < LARGEST_REQUEST * 1.1


async def test_a_topic_that_takes_no_letter_at_all_is_named_with_its_setting() -> None:
    with pytest.raises(SetupError, match=r"topic the\.dlq .* max\.message\.bytes"):
        await written_to(FakeTopic(100), [Rejected(record(), "why", Kind.SCHEMA)])
