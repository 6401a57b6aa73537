"""What the worker writes about a record that can never be applied."""

from uuid import uuid4

from aiokafka.structs import ConsumerRecord
from prometheus_client import REGISTRY

from events.kinds import Kind
from events.producer import Producer
from tests.factories import record
from tests.topics import records_of
from worker.deadletters.writer import DeadLetterWriter
from worker.kafka.client import client_arguments
from worker.settings import Settings
from worker.stream.outcome import Rejected


def counted(kind: Kind) -> float:
    return REGISTRY.get_sample_value("progress_dead_letters_total", {"kind": kind}) or 0


async def letters(settings: Settings, rejected: list[Rejected]) -> list[dict[str, bytes]]:
    """The headers that the dead letters of these have, in their order."""
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
