"""Writes dead letters: records that can never be applied, with the reason in their headers.

The record is unchanged, unless it is a CutRecord, or the topic does not take it whole (truncation.py).
"""

from collections import Counter
from datetime import UTC, datetime

from events.producer import OutgoingRecord, Producer, PublishFailed
from worker.deadletters.adaptation import find_adaptation, replace_timestamp
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
    VALUE_SHA256,
    count_attempts,
    own_headers,
)
from worker.deadletters.truncation import SHORTEST, shorten
from worker.errors import SetupError
from worker.kafka.failures import explain, is_too_large
from worker.kafka.topics import LARGEST_REQUEST
from worker.metrics import prometheus as metrics
from worker.settings import Settings
from worker.stream.cut_record import CutRecord, measure
from worker.stream.outcome import Rejected


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
        letters = [self._build_record(r) for r in rejected]
        try:
            await self._adapt_and_send(letters)
        except PublishFailed as error:
            raise explain("dead letters cannot be written", error) from error
        for kind, number in Counter(r.kind for r in rejected).items():
            metrics.DEAD_LETTERS.labels(kind).inc(number)

    async def _adapt_and_send(self, letters: list[OutgoingRecord]) -> None:
        """Sends the letters, and once more without what the topic refuses of them: no key, or their timestamp."""
        try:
            await self._send(letters)
        except PublishFailed as error:
            adapt = find_adaptation(error.__cause__)
            adapted = [adapt(letter) for letter in letters] if adapt else letters
            if adapted == letters:
                raise
            await self._adapt_and_send(adapted)

    async def _send(self, letters: list[OutgoingRecord]) -> None:
        """Sends the letters, and truncates one that is too large, because it must not block its partition."""
        if len(letters) > 1 and sum(map(measure, letters)) > LARGEST_REQUEST:
            return await self._send_halves(letters)
        try:
            await self._producer.send_all(letters)
        except PublishFailed as error:
            if not is_too_large(error.__cause__):
                raise
            if len(letters) > 1:
                await self._send_halves(letters)
            else:
                await self._send_shorter(letters[0])

    async def _send_halves(self, letters: list[OutgoingRecord]) -> None:
        middle = len(letters) // 2
        await self._send(letters[:middle])
        await self._send(letters[middle:])

    async def _send_shorter(self, letter: OutgoingRecord) -> None:
        """Sends the first of ever shorter letters that the topic takes. Raises SetupError if it does not take any."""
        for shorter in shorten(letter):
            try:
                await self._producer.send_all([shorter])
            except PublishFailed as error:
                if not is_too_large(error.__cause__):
                    raise
            else:
                return
        raise SetupError(
            f"dead letters cannot be written: topic {self._topic} does not take the shortest there is: raise its "
            f"max.message.bytes, to {SHORTEST:,} at least (1,048,588 is Kafka's default)"
        )

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
        if isinstance(record, CutRecord):
            added |= {TRUNCATED: record.sizes} | ({VALUE_SHA256: record.value_sha256} if record.value_sha256 else {})
        headers = [*own_headers(record.headers), *((name, text.encode()) for name, text in added.items())]
        letter = OutgoingRecord(self._topic, record.key, record.value, headers, record.timestamp)
        # aiokafka gives a record without a timestamp (-1) that of the record behind it.
        return letter if record.timestamp >= 0 else replace_timestamp(letter)
