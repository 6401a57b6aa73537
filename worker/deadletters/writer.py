"""Writes dead letters: records that can never be applied, unchanged, with the reason in their headers."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from events.producer import OutgoingRecord, Producer, PublishFailed
from worker.deadletters.headers import (
    ATTEMPTS,
    GROUP,
    KIND,
    OFFSET,
    PARTITION,
    REASON,
    REJECTED_AT,
    TOPIC,
    TRUNCATED,
    count_attempts,
    own_headers,
)
from worker.kafka.failures import explain, is_too_large
from worker.metrics import prometheus as metrics
from worker.settings import Settings
from worker.stream.outcome import Rejected

KEPT_BYTES = 100_000


class DeadLetterWriter:
    """Writes dead letters of every stream to one topic.

    A batch is applied only after Kafka has acknowledged the dead letters of its records.
    """

    def __init__(self, settings: Settings, producer: Producer, group: str) -> None:
        """`group` is the consumer group of the stream."""
        self._topic = settings.dead_letter_topic
        self._group = group
        self._producer = producer

    async def write(self, rejected: list[Rejected]) -> None:
        """Writes a dead letter for each record; all are durable on return, and counted by kind.

        Raises KafkaUnavailable or SetupError; some may be written then, and are written again with the batch.
        """
        if not rejected:
            return
        try:
            await self._send([self._build_record(r) for r in rejected])
        except PublishFailed as error:
            raise explain("dead letters cannot be written", error) from error
        for kind, number in Counter(r.kind for r in rejected).items():
            metrics.DEAD_LETTERS.labels(kind).inc(number)

    async def _send(self, letters: list[OutgoingRecord]) -> None:
        """Sends the letters, and cuts the value of one that is too large, because it must not block its partition."""
        try:
            await self._producer.send_all(letters)
        except PublishFailed as error:
            if not is_too_large(error.__cause__):
                raise
            if len(letters) > 1:
                for letter in letters:
                    await self._send([letter])
            elif TRUNCATED in dict(letters[0].headers):
                raise
            else:
                await self._send([cut_value(letters[0])])

    def _build_record(self, rejected: Rejected) -> OutgoingRecord:
        record = rejected.record
        added = {
            TOPIC: record.topic,
            PARTITION: str(record.partition),
            OFFSET: str(record.offset),
            KIND: rejected.kind,
            REASON: rejected.reason,
            REJECTED_AT: datetime.now(UTC).isoformat(),
            GROUP: self._group,
            ATTEMPTS: str(count_attempts(record.headers) + 1),
        }
        headers = [*own_headers(record.headers), *((name, text.encode()) for name, text in added.items())]
        return OutgoingRecord(self._topic, record.key, record.value, headers, record.timestamp)


def cut_value(letter: OutgoingRecord) -> OutgoingRecord:
    """Keeps the first KEPT_BYTES of the letter's value, and notes in a header how many bytes it had."""
    value = letter.value or b""
    headers = [*letter.headers, (TRUNCATED, str(len(value)).encode())]
    return replace(letter, value=value[:KEPT_BYTES], headers=headers)
