"""Dead letters: records that can never be applied, kept as they came, with the reason."""

from datetime import UTC, datetime

from events.producer import OutgoingRecord, Producer, PublishFailed
from worker import metrics
from worker.decode import Rejected
from worker.kafka import failure
from worker.settings import Settings

# Added to the record's own headers. Together the first three identify the record, also when it was written twice.
TOPIC, PARTITION, OFFSET = "dlq_topic", "dlq_partition", "dlq_offset"
REASON, REJECTED_AT, GROUP = "dlq_reason", "dlq_rejected_at", "dlq_consumer_group"


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
            await self._producer.send_all([self._record(r) for r in rejected])
        except PublishFailed as error:
            raise failure("dead letters cannot be written", error) from error
        metrics.DEAD_LETTERS.inc(len(rejected))

    def _record(self, rejected: Rejected) -> OutgoingRecord:
        record = rejected.record
        added = {
            TOPIC: record.topic,
            PARTITION: str(record.partition),
            OFFSET: str(record.offset),
            REASON: rejected.reason,
            REJECTED_AT: datetime.now(UTC).isoformat(),
            GROUP: self._settings.consumer_group,
        }
        headers = [*record.headers, *((name, text.encode()) for name, text in added.items())]
        return OutgoingRecord(self._settings.dead_letter_topic, record.key, record.value, headers, record.timestamp)
