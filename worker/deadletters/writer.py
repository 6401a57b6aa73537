"""Dead letters: records that can never be applied, kept as they came, with the reason."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from events.producer import OutgoingRecord, Producer, PublishFailed
from worker.decode import Rejected
from worker.kafka.client import failure
from worker.metrics import prometheus as metrics
from worker.settings import Settings

# Headers with this prefix are ours. A dead letter has all of these beside the record's own; a replayed record has
# ATTEMPTS alone. Together the first three identify the record, also when it was written twice.
PREFIX = "dlq_"
TOPIC, PARTITION, OFFSET = "dlq_topic", "dlq_partition", "dlq_offset"
KIND, REASON, REJECTED_AT, GROUP = "dlq_kind", "dlq_reason", "dlq_rejected_at", "dlq_consumer_group"
ATTEMPTS = "dlq_attempts"  # how often the event was rejected
# A record of the dead letter topic that has this is no dead letter: it says what became of one (letter.py).
RESOLVES = "dlq_resolves"

# The bytes that the value had: compressed it fitted into a record, and not into this topic (retention of its origin
# permitting, it is still there).
TRUNCATED = "dlq_truncated"
KEPT_BYTES = 100_000
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

ATTEMPTS_TEXT = re.compile("[0-9]{1,6}")

Headers: TypeAlias = Sequence[tuple[str, bytes]]


class DeadLetters:
    """Writes dead letters. A batch that carries one is not applied before Kafka has acknowledged it."""

    def __init__(self, settings: Settings, producer: Producer) -> None:
        self._settings = settings
        self._producer = producer

    async def write(self, rejected: list[Rejected]) -> None:
        """Durable when it returns; raises KafkaUnavailable or SetupError: some may be there then (at least once)."""
        if not rejected:
            return
        try:
            await self._send([self._record(r) for r in rejected])
        except PublishFailed as error:
            raise failure("dead letters cannot be written", error) from error
        for kind, number in Counter(r.kind for r in rejected).items():
            metrics.DEAD_LETTERS.labels(kind).inc(number)

    async def _send(self, letters: list[OutgoingRecord]) -> None:
        """A letter that the topic does not take whole is cut: nothing may hold up what comes behind it."""
        try:
            await self._producer.send_all(letters)
        except PublishFailed as error:
            if not isinstance(error.__cause__, TOO_LARGE):
                raise
            if len(letters) > 1:
                for letter in letters:
                    await self._send([letter])
            elif TRUNCATED in dict(letters[0].headers):
                raise
            else:
                await self._send([cut(letters[0])])

    def _record(self, rejected: Rejected) -> OutgoingRecord:
        record = rejected.record
        added = {
            TOPIC: record.topic,
            PARTITION: str(record.partition),
            OFFSET: str(record.offset),
            KIND: rejected.kind,
            REASON: rejected.reason,
            REJECTED_AT: datetime.now(UTC).isoformat(),
            GROUP: self._settings.consumer_group,
            ATTEMPTS: str(attempts(record.headers) + 1),
        }
        headers = [*own(record.headers), *((name, text.encode()) for name, text in added.items())]
        return OutgoingRecord(self._settings.dead_letter_topic, record.key, record.value, headers, record.timestamp)


def cut(letter: OutgoingRecord) -> OutgoingRecord:
    """The letter with the beginning of its value, and how many bytes the value had."""
    value = letter.value or b""
    headers = [*letter.headers, (TRUNCATED, str(len(value)).encode())]
    return replace(letter, value=value[:KEPT_BYTES], headers=headers)


def own(headers: Headers) -> list[tuple[str, bytes]]:
    """The headers that came with the record."""
    return [(name, value) for name, value in headers if not name.startswith(PREFIX)]


def attempts(headers: Headers) -> int:
    """How often an event with these headers was rejected. Anybody can write a header: nonsense is 0."""
    text = (dict(headers).get(ATTEMPTS) or b"").decode(errors="replace")
    return int(text) if ATTEMPTS_TEXT.fullmatch(text) else 0
