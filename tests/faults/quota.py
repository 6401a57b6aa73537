"""Sets a client quota: a request of our own, for which aiokafka has no class."""

from collections.abc import Sequence

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int16, Int32, Schema, String

TEXT = String("utf-8")
ENTITY = Array(("type", TEXT), ("name", TEXT))


class AlterClientQuotasResponse(Response):
    API_KEY, API_VERSION = 49, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("entries", Array(("error_code", Int16), ("error_message", TEXT), ("entity", ENTITY))),
    )


class AlterClientQuotasStruct(RequestStruct):
    API_KEY, API_VERSION = 49, 0
    RESPONSE_TYPE = AlterClientQuotasResponse
    OPERATIONS = Array(("key", TEXT), ("value", Float64), ("remove", Boolean))
    SCHEMA = Schema(("entries", Array(("entity", ENTITY), ("ops", OPERATIONS))), ("validate_only", Boolean))


class AlterClientQuotas(Request[AlterClientQuotasStruct]):
    API_KEY = 49

    def __init__(self, client_ids: Sequence[str], operation: tuple[str, float, bool]) -> None:
        self._entries = [([("client-id", client_id)], [operation]) for client_id in client_ids]

    def build(self, struct: type[AlterClientQuotasStruct]) -> AlterClientQuotasStruct:
        return struct(self._entries, False)


async def limit_reads(servers: str, client_ids: Sequence[str], bytes_per_s: float | None) -> None:
    """Limits how much each of these clients may read; None lifts the limit."""
    operation = ("consumer_byte_rate", bytes_per_s or 0.0, bytes_per_s is None)
    client = AIOKafkaClient(bootstrap_servers=servers)
    await client.bootstrap()
    try:
        answer = await client.send(client.get_random_node(), AlterClientQuotas(client_ids, operation))
    finally:
        await client.close()
    for code, message, entity in answer.entries:
        assert not code, f"the quota of {entity} is refused: {for_code(code).__name__} {message}"
