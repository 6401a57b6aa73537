"""Proves that a fault happened: Kafka's own answers to the suite, or a line in a worker's log."""

import time
from datetime import timedelta

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from tests.faults.scene import Scene

GIVES_UP_WITHIN_S = 90  # a worker's producer asks again for 30 s before it says that Kafka refuses


async def require_refusal(scene: Scene, topic: str, error: str) -> None:
    """Requires that Kafka refuses a record of the suite for this topic, with the error of this name.

    A record that it stores, or another answer for a minute, breaks the round.
    """

    async def refused() -> bool:
        answer = await scene.run_blocking(try_to_write, scene.servers.kafka, topic)
        assert answer, f"{topic} takes records"
        return answer == error

    await scene.wait_for_proof(refused)


def try_to_write(servers: str, topic: str) -> str:
    """Sends one record without a repetition, and returns the name of Kafka's error; empty when it is stored."""
    message = send_one(servers, topic, b"")
    error = message.error()
    return error.name() if error else ""


def read_clock_ahead(servers: str, topic: str) -> timedelta:
    """Returns how far Kafka's clock is ahead of ours, by its stamp of a record without a value, which workers skip.

    The topic must have Kafka stamp its records.
    """
    _, stamped_ms = send_one(servers, topic, None).timestamp()
    return timedelta(milliseconds=stamped_ms) - timedelta(seconds=time.time())


def send_one(servers: str, topic: str, value: bytes | None) -> Message:
    """Sends one record without a repetition, and returns it as it is stored or refused."""
    reports: list[Message] = []
    once = {"acks": "all", "retries": 0, "message.timeout.ms": 5000, "log_level": 0}
    producer = Producer({"bootstrap.servers": servers, **once})
    producer.produce(topic, value, on_delivery=lambda _, message: reports.append(message))
    producer.flush(30)  # librdkafka reports by itself after 5 s
    return reports[0]


def read_throttle_s(servers: str, client_id: str, topic: str) -> float:
    """Reads under another client's id, and returns for how long Kafka holds that client back; 0: within 30 s never."""
    told: list[float] = []
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "client.id": client_id,
            "group.id": "of-no-member",
            "enable.auto.commit": False,
            "throttle_cb": lambda event: told.append(event.throttle_time),
        }
    )
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    deadline = time.monotonic() + 30
    while not any(told) and time.monotonic() < deadline:
        consumer.poll(0.2)
    consumer.close()
    return max(told, default=0)


async def wait_until_said(scene: Scene, text: str) -> None:
    """Waits until a worker has logged this, which proves that the fault has reached it."""

    async def said() -> bool:
        return any(text in worker.log.read_text() for worker in scene.workers)

    await scene.wait_for_proof(said, GIVES_UP_WITHIN_S)
