"""Sends the requests of Kafka's protocol that aiokafka has no classes for; the caller declares them."""

from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import Request
from aiokafka.protocol.types import CompactString

TEXT = CompactString("utf-8")


async def send_request(
    client: AIOKafkaClient, node: int, request: Request[Any], *, group: ConnectionGroup = ConnectionGroup.DEFAULT
) -> Any:
    """Returns a broker's response; None from a broker that is too old for the request. Raises KafkaError.

    `group` chooses the connection. A broker answers what comes over one connection in order, and on the default one a
    fetch may wait for records.
    """
    try:
        return await client.send(node, request, group=group)
    except (IncompatibleBrokerVersion, NotImplementedError):  # aiokafka raises these for a version that a broker lacks
        return None
