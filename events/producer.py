"""Sends records to Kafka and reports whether each is stored. It knows bytes, not events; all publishers share it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata


class PublishFailed(Exception):
    """Says that Kafka did not acknowledge a record: `where`, and `what`. It may have stored it; repeating is safe."""

    def __str__(self) -> str:
        return ": ".join(self.args)


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """Holds a record to send. Without a timestamp it gets the time of sending, without a partition the key decides."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int | None = None
    partition: int | None = None


class Producer:
    """Sends records idempotently, with `acks=all`, and bounds every wait by `timeout_s`. An async context manager.

    Serves any number of tasks. Entering raises PublishFailed when Kafka does not answer. Further arguments (security,
    compression, linger) go to AIOKafkaProducer.
    """

    def __init__(self, bootstrap_servers: str, *, timeout_s: float = 30, **producer: Any) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._timeout_s = timeout_s
        self._settings = {
            # Half of our time limit, so that Kafka's own error arrives before the limit hides it.
            "request_timeout_ms": int(timeout_s * 500),
            **producer,
            "acks": "all",
            "enable_idempotence": True,
        }
        self._connected: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._ensure_connected()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._connected is not None:
            await self._close(self._connected, within_s=self._timeout_s)

    @property
    def client(self) -> AIOKafkaClient | None:
        """Returns aiokafka's client, for questions beside sending; None while there is no connection."""
        return self._connected and self._connected.client

    async def send_all(self, records: Sequence[OutgoingRecord]) -> list[RecordMetadata]:
        """Sends records without waiting in between; all are durable when it returns. Answers in the order given.

        Raises PublishFailed with the first record's error, once every other record is stored or given up.
        """
        producer = await self._ensure_connected()
        try:
            outcomes, handed_over = await self._send_each(producer, records)
        except TimeoutError as error:
            await self._abandon(producer)
            raise PublishFailed(self._bootstrap_servers, f"no acknowledgement within {self._timeout_s} s") from error
        for number, (record, outcome) in enumerate(zip(records, outcomes, strict=False)):
            if isinstance(outcome, BaseException):
                if number < handed_over:  # aiokafka has not counted a record that it refused itself
                    await self._abandon(producer)
                raise PublishFailed(record.topic, f"not acknowledged: {outcome!r}") from outcome
        return outcomes

    async def _ensure_connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._connected is None:
                self._connected = await self._connect()
            return self._connected

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap_servers, **self._settings)
        try:
            async with asyncio.timeout(self._timeout_s):
                await producer.start()
        except (KafkaError, TimeoutError) as error:
            await producer.stop()
            raise PublishFailed(self._bootstrap_servers, f"Kafka cannot be reached: {error!r}") from error
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _abandon(self, producer: AIOKafkaProducer) -> None:
        """Drops the producer, so that the next call connects a new one.

        This one has counted a record that Kafka did not store. Kafka would refuse all its later records as out of
        sequence, and it would keep the unacknowledged ones permanently.
        """
        if self._connected is producer:
            self._connected = None
            await self._close(producer, within_s=0)

    async def _close(self, producer: AIOKafkaProducer, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await producer.flush()
        except TimeoutError:
            # aiokafka's stop would wait for these acknowledgements without end (its issue 1101).
            await producer._sender.close()
            batches = [batch for queue in producer._message_accumulator._batches.values() for batch in queue]
            producer._message_accumulator._batches.clear()
            # aiokafka's own handling of a failed batch expects the batch to be in flight.
            producer._message_accumulator._pending_batches.update(batches)
            for batch in batches:
                batch.drain_ready()
                batch.failure(KafkaError("given up"))
        await producer.stop()

    async def _send_each(self, producer: AIOKafkaProducer, records: Sequence[OutgoingRecord]) -> tuple[list[Any], int]:
        """Returns where each record is stored, or its error; and how many records aiokafka took to send.

        Ends at the first record that aiokafka does not take. Raises TimeoutError when acknowledgements do not arrive.
        """
        acknowledgements: list[asyncio.Future[Any]] = []
        unsent: list[Exception] = []
        try:
            for record in records:
                acknowledgements.append(await self._hand_over(producer, record))
        except (KafkaError, TimeoutError) as error:
            unsent.append(error)
        except asyncio.CancelledError:
            for acknowledgement in acknowledgements:
                acknowledgement.cancel()  # else asyncio logs later that their errors were never retrieved
            raise
        async with asyncio.timeout(self._timeout_s):
            settled = await asyncio.gather(*acknowledgements, return_exceptions=True)
        return [*settled, *unsent], len(acknowledgements)

    async def _hand_over(self, producer: AIOKafkaProducer, record: OutgoingRecord) -> asyncio.Future[Any]:
        async with asyncio.timeout(self._timeout_s):
            acknowledgement: asyncio.Future[Any] = await producer.send(
                record.topic,
                record.value,
                record.key,
                record.partition,
                headers=record.headers,
                timestamp_ms=record.timestamp_ms,
            )
        return acknowledgement
