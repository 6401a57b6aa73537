"""Takes a static member out of its consumer group, which aiokafka does not do.

A member without a static id leaves by itself: aiokafka sends LeaveGroup in version 1, by the member id. Since version 3
the request names static members, by `group_instance_id`; version 4 (Kafka 2.4) has the compact form.
"""

from aiokafka import AIOKafkaConsumer
from aiokafka.client import ConnectionGroup
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, Int16, Int32, Schema, TaggedFields

from worker.kafka.requests import TEXT, send_request

MEMBER = (("member_id", TEXT), ("group_instance_id", TEXT))


class LeaveGroupResponseV4(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 13, 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("members", CompactArray(*MEMBER, ("error_code", Int16), ("tags", TaggedFields))),
        ("tags", TaggedFields),
    )


class LeaveGroupRequestV4(RequestStruct):  # type: ignore[misc]
    API_KEY, API_VERSION, FLEXIBLE_VERSION = 13, 4, True
    RESPONSE_TYPE = LeaveGroupResponseV4
    SCHEMA = Schema(("group", TEXT), ("members", CompactArray(*MEMBER, ("tags", TaggedFields))), ("tags", TaggedFields))


class LeaveGroupRequest(Request[LeaveGroupRequestV4]):  # type: ignore[misc]
    API_KEY = 13

    def __init__(self, group: str, member_id: str, static_id: str) -> None:
        self._group = group
        self._member: tuple[object, ...] = (member_id, static_id, {})

    def build(self, request_struct_class: type[LeaveGroupRequestV4]) -> LeaveGroupRequestV4:
        return request_struct_class(self._group, [self._member], {})


async def leave_group(consumer: AIOKafkaConsumer, static_id: str) -> bool:
    """Takes this static member out of its group, so that its partitions are given to others at once.

    Ends the consumer's part in the group first, because its next heartbeat would join again. Only `stop` may follow.
    The request names the member id, too: a process that has taken over the static id keeps its place. Returns whether
    there was a place to leave: not before the consumer has joined, nor with a broker that is too old for the request.
    Raises KafkaError; the place then lasts until the session ends.
    """
    coordinator = consumer._coordinator
    if coordinator is None:  # it has not started
        return False
    member_id, node = coordinator.member_id, coordinator.coordinator_id
    await coordinator.close()
    if not member_id or node is None:
        return False
    request = LeaveGroupRequest(coordinator.group_id, member_id, static_id)
    response = await send_request(consumer._client, node, request, group=ConnectionGroup.COORDINATION)
    if response is None:
        return False
    errors = [response.error_code, *(error for _member, _static, error, _tags in response.members)]
    if failed := next(filter(None, errors), None):
        raise for_code(failed)(f"consumer group {coordinator.group_id}")
    return True
