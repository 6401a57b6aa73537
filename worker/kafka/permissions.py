"""What Kafka lets us do: asked before a worker takes anything, and again while it runs.

aiokafka only logs why it cannot connect, and goes on trying for ever; a topic that it may no longer see looks like one
without partitions. Here a connection of our own gets the reason.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError, SaslAuthenticationFailed, TopicAuthorizationFailedError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String
from mode import Service

from worker.errors import KafkaUnavailable, SetupError
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain, explain_forbidden
from worker.settings import Settings

TIMEOUT_S = 10
CHECK_PERMISSIONS_EVERY_S = 30.0
READ, WRITE = 3, 4  # the protocol's numbers of the operations
NAMES = {READ: "Read", WRITE: "Write"}
NOT_TOLD = -(2**31)
HUNG_UP = (KafkaConnectionError, ConnectionResetError)


def worker_permissions(settings: Settings) -> dict[str, int]:
    """The operation that a worker needs on each topic."""
    return {
        settings.lesson_events_topic: READ,
        settings.course_events_topic: WRITE,
        settings.dead_letter_topic: WRITE,
    }


async def require_access(reach: Mapping[str, Any], needed: Mapping[str, int]) -> None:
    """Asks Kafka, reached with the arguments of a client, whether it lets us do this on these topics.

    Raises SetupError when it does not, or refuses us or we it; KafkaUnavailable when it does not answer. That a topic
    does not exist is not its concern.
    """
    allowed = await _allowed(reach, list(needed))
    missing = [f"{NAMES[op]} on topic {topic}" for topic, op in needed.items() if not allowed[topic] & 1 << op]
    if missing:
        raise SetupError(explain_forbidden(", ".join(missing)))


class PermissionWatch(Service):
    """Stops the worker when its access was withdrawn: nothing is lost, and a restart reads new credentials."""

    def __init__(self, settings: Settings, **service: Any) -> None:
        super().__init__(**service)
        self._needed = worker_permissions(settings)
        self._reach = client_arguments(settings)  # with the certificates that the worker's clients began with

    async def on_started(self) -> None:
        self.add_future(self._watch())

    async def _watch(self) -> None:
        while True:
            await self.sleep(CHECK_PERMISSIONS_EVERY_S)
            if self.should_stop:
                return
            with suppress(KafkaUnavailable):  # whoever needs Kafka meanwhile says so
                await require_access(self._reach, self._needed)


async def _allowed(reach: Mapping[str, Any], topics: list[str]) -> dict[str, int]:
    """The operations allowed on each topic, as bits, by the first of the servers that answers."""
    problems: list[KafkaUnavailable | SetupError] = []
    for host, port, _ in collect_hosts(reach["bootstrap_servers"]):
        try:
            return await _ask(host, port, reach, topics)
        except (OSError, KafkaError, TimeoutError) as error:
            problems.append(_problem(f"Kafka at {host}:{port}", error))
    raise next((problem for problem in problems if isinstance(problem, SetupError)), problems[0])


async def _ask(host: str, port: int, reach: Mapping[str, Any], topics: list[str]) -> dict[str, int]:
    arguments = {name: value for name, value in reach.items() if name != "bootstrap_servers"}
    connection = await create_conn(host, port, request_timeout_ms=TIMEOUT_S * 1000, **arguments)
    try:
        answer = await connection.send(MetadataRequest(topics))
    finally:
        await connection.close()
    if answer.cluster_id is None:  # aiokafka takes the refusal of a token for its acceptance: then this is empty
        raise SaslAuthenticationFailed("the access token was refused")
    return {topic: _operations(error, operations) for error, topic, _, _, operations in answer.topics}


def _operations(error: int, operations: int) -> int:
    if error == TopicAuthorizationFailedError.errno:
        return 0
    # Of a topic that does not exist a broker tells none.
    return -1 if error or operations == NOT_TOLD else operations


def _problem(where: str, error: Exception) -> KafkaUnavailable | SetupError:
    problem = explain(where, error)
    if isinstance(problem, KafkaUnavailable) and isinstance(error, HUNG_UP):
        return KafkaUnavailable(f"{problem}: does PROGRESS_KAFKA_SECURITY_PROTOCOL fit this port?")
    return problem


class MetadataResponse(Response):  # type: ignore[misc]
    """Version 8, the first that tells the operations (KIP-430); aiokafka knows up to 5."""

    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8")))),
        ("cluster_id", String("utf-8")),
        ("controller", Int32),
        (
            "topics",
            Array(
                ("error", Int16),
                ("topic", String("utf-8")),
                ("internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline", Array(Int32)),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
        ("cluster_operations", Int32),
    )


class MetadataRequestStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("create", Boolean),
        ("cluster_operations", Boolean),
        ("topic_operations", Boolean),
    )


class MetadataRequest(Request[MetadataRequestStruct]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, struct: type[MetadataRequestStruct]) -> MetadataRequestStruct:
        return struct(self._topics, False, False, True)
