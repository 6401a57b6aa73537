"""Leaves the consumer group when a worker stops: for good, or so that it finds its place again."""

import asyncio
import socket

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from events.consumer import close_consumer
from worker.kafka.leave_group import leave_group
from worker.settings import Settings
from worker.stateful_set import NotTold, has_place

log = structlog.get_logger("intake")

ASK_WITHIN_S = 2.0
LEAVE_WITHIN_S = 2.0


async def leaves_for_good(settings: Settings) -> bool:
    """Decides by PROGRESS_LEAVE_ON_STOP whether a worker that stops gives up its static place. Returns within seconds.

    Where nobody knows it keeps the place: its partitions then wait for its session to end, at worst. Given up by
    mistake, all others would stand still twice for nothing.
    """
    if settings.leave_on_stop != "auto":
        return settings.leave_on_stop == "always"
    try:
        async with asyncio.timeout(ASK_WITHIN_S):
            comes_back = await has_place(socket.gethostname())
    except (NotTold, TimeoutError) as error:
        reason = str(error) or f"Kubernetes does not answer within {ASK_WITHIN_S:g} s"
        log.warning("this worker keeps its place in the consumer group until its session ends", reason=reason)
        return False
    return comes_back is False


async def depart(consumer: AIOKafkaConsumer, settings: Settings, *, for_good: bool) -> None:
    """Closes the consumer. A member without a static id leaves its group thereby; one with it only `for_good`.

    Waits for Kafka for seconds at most, also while it is away.
    """
    if settings.group_instance_id and for_good:
        try:
            async with asyncio.timeout(LEAVE_WITHIN_S):
                left = await leave_group(consumer, settings.group_instance_id)
            log.info("left the consumer group" if left else "there was no place in the consumer group to leave")
        except (KafkaError, TimeoutError) as error:
            log.warning("its place in the consumer group lasts until its session ends", reason=repr(error))
    await close_consumer(consumer)
