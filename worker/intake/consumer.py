"""Creates the consumer of a stream: a member of the group that shares the topic's partitions."""

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError

from events.consumer import close_consumer
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain_consumer_error
from worker.kafka.inflation import LARGEST_FETCH
from worker.settings import Settings
from worker.stream.stream import Stream

NEW_PARTITIONS_WITHIN_MS = 3_000  # and as long as a rebalance takes, until they are read


def create_consumer(settings: Settings, stream: Stream, listener: ConsumerRebalanceListener) -> AIOKafkaConsumer:
    """Creates the consumer, not started yet: while it starts it calls the listener, which needs it."""
    consumer = AIOKafkaConsumer(
        **client_arguments(settings),
        client_id=settings.worker_name,
        group_id=stream.group,
        group_instance_id=settings.group_instance_id,
        enable_auto_commit=False,
        # Positions come from the database. A log that lacks one must not silently be read from elsewhere.
        auto_offset_reset="none",
        isolation_level="read_committed",
        fetch_max_bytes=LARGEST_FETCH,
        metadata_max_age_ms=NEW_PARTITIONS_WITHIN_MS,
        # Sticky, for aiokafka has no cooperative assignor (its issue 1126).
        partition_assignment_strategy=(create_assignor(),),
        heartbeat_interval_ms=int(settings.group_heartbeat_s * 1000),
        session_timeout_ms=int(settings.session_timeout_s * 1000),
        # Its default is the session timeout, too short to drain a batch in flight.
        rebalance_timeout_ms=int(settings.rebalance_timeout_s * 1000),
    )
    consumer.subscribe([stream.topic], listener=listener)
    return consumer


def create_assignor() -> type[StickyPartitionAssignor]:
    """Creates an assignor for one consumer, with which members keep partitions that they have.

    aiokafka keeps what a member has in the class. Two consumers of a process that share it would tell their groups what
    the other one has, so that nobody would keep anything.
    """

    class OwnStickyPartitionAssignor(StickyPartitionAssignor):  # type: ignore[misc]
        pass

    return OwnStickyPartitionAssignor


async def start(consumer: AIOKafkaConsumer, settings: Settings) -> None:
    """Joins the group. Raises KafkaUnavailable or SetupError."""
    try:
        await consumer.start()
    except KafkaError as error:
        await close_consumer(consumer)
        raise explain_consumer_error(error, settings) from error
