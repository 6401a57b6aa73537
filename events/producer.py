"""Records to Kafka, acknowledged or not: what the publishers here share. No events, only bytes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata


class PublishFailed(Exception):
    """PublishFailed(where, what): not acknowledged, so maybe stored, maybe not. Repeating it is safe."""

    def __str__(self) -> str:
        return ": ".join(self.args)


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """What is to be stored; without a timestamp, the time of sending."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int | None = None


class Producer:
    """An idempotent producer (`acks=all`) whose every wait is bounded by `timeout_s`.

    An async context manager; one serves any number of tasks. Entering raises PublishFailed when
    Kafka is not there. Further arguments (security, compression, linger) go to AIOKafkaProducer.
    """

    def __init__(self, bootstrap_servers: str, *, timeout_s: float = 30, **producer: Any) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._timeout_s = timeout_s
        self._settings = {
            # Half of ours, so that Kafka's own error arrives before our deadline hides it.
            "request_timeout_ms": int(timeout_s * 500),
            **producer,
            "acks": "all",
            "enable_idempotence": True,
        }

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap_servers, **self._settings)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._producer.start()
        except (KafkaError, TimeoutError) as error:
            await self._producer.stop()
            raise PublishFailed(self._bootstrap_servers, f"Kafka cannot be reached: {error!r}") from error
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._producer.flush()
        except TimeoutError:
            # aiokafka's stop would wait for these acknowledgements for ever (its issue 1101).
            await self._producer._sender.close()
            self._producer._message_accumulator._batches.clear()
        await self._producer.stop()

    async def send_all(self, records: Sequence[OutgoingRecord]) -> list[RecordMetadata]:
        """Stores records without waiting in between; durable when it returns. Answers in the order given.

        Raises PublishFailed, with the first record's error, after every other record is settled:
        stored, or given up.
        """
        try:
            outcomes = await self._outcomes(records)
        except TimeoutError as error:
            what = f"no acknowledgement within {self._timeout_s} s"
            raise PublishFailed(self._bootstrap_servers, what) from error
        for record, outcome in zip(records, outcomes, strict=False):
            if isinstance(outcome, BaseException):
                raise PublishFailed(record.topic, f"not acknowledged: {outcome!r}") from outcome
        return outcomes

    async def _outcomes(self, records: Sequence[OutgoingRecord]) -> list[Any]:
        """What became of each record: where it is stored, or its error. Ends with the first not sent."""
        acknowledgements: list[asyncio.Future[Any]] = []
        unsent: list[Exception] = []
        try:
            for record in records:
                acknowledgements.append(await self._hand_over(record))
        except (KafkaError, TimeoutError) as error:
            unsent.append(error)
        except asyncio.CancelledError:
            for acknowledgement in acknowledgements:
                acknowledgement.cancel()  # or asyncio complains later that nobody took their errors
            raise
        async with asyncio.timeout(self._timeout_s):
            return [*await asyncio.gather(*acknowledgements, return_exceptions=True), *unsent]

    async def _hand_over(self, record: OutgoingRecord) -> asyncio.Future[Any]:
        async with asyncio.timeout(self._timeout_s):
            acknowledgement: asyncio.Future[Any] = await self._producer.send(
                record.topic,
                record.value,
                record.key,
                headers=record.headers,
                timestamp_ms=record.timestamp_ms,
            )
        return acknowledgement
