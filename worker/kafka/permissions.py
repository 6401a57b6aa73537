"""Asks Kafka what it allows these credentials to do: before a worker reads anything, and again while it runs.

aiokafka only logs why it cannot connect, and tries again without end. A topic that it may no longer see looks like a
topic without partitions. A connection of our own gets the reason.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError, SaslAuthenticationFailed, TopicAuthorizationFailedError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String
from mode import Service

from worker.errors import KafkaUnavailable, SetupError
from worker.kafka.client import client_arguments
from worker.kafka.failures import explain_connection, explain_forbidden
from worker.settings import Settings

TIMEOUT_S = 10
CHECK_PERMISSIONS_EVERY_S = 30.0
READ, WRITE = 3, 4  # the protocol's numbers for these operations
NAMES = {READ: "Read", WRITE: "Write"}
OPERATIONS_UNKNOWN = -(2**31)  # a broker's answer for a topic that does not exist


def worker_permissions(settings: Settings) -> dict[str, int]:
    """Returns the operation that a worker needs on each topic."""
    return {
        settings.lesson_events_topic: READ,
        settings.course_catalog_topic: READ,
        settings.course_events_topic: WRITE,
        settings.dead_letter_topic: WRITE,
    }


def effects_permissions(settings: Settings, *, lesson_events: bool) -> dict[str, int]:
    """Returns the operation that `course-progress effects` needs on each topic; badges need those of lessons."""
    needed = {
        settings.course_events_topic: READ,
        settings.learners_topic: READ,
        settings.dead_letter_topic: WRITE,
    }
    return needed | ({settings.lesson_events_topic: READ} if lesson_events else {})


async def require_access(arguments: Mapping[str, Any], needed: Mapping[str, int]) -> None:
    """Asks Kafka whether it allows these operations on these topics. `arguments` are those of a client.

    Raises SetupError when Kafka forbids one, refuses the login or is not trusted; KafkaUnavailable when it does not
    answer. A topic that does not exist passes.
    """
    allowed = await _ask_brokers(arguments, list(needed))
    missing = [f"{NAMES[op]} on topic {topic}" for topic, op in needed.items() if not allowed[topic] & 1 << op]
    if missing:
        raise SetupError(explain_forbidden(", ".join(missing)))


class PermissionWatch(Service):
    """Stops the worker when Kafka has withdrawn its access. Nothing is lost, and a restart reads new credentials."""

    def __init__(self, settings: Settings, needed: Mapping[str, int], **service: Any) -> None:
        super().__init__(**service)
        self._needed = needed
        self._arguments = client_arguments(settings)  # with the certificates that the worker's clients started with

    async def on_started(self) -> None:
        self.add_future(self._watch())

    async def _watch(self) -> None:
        while True:
            await self.sleep(CHECK_PERMISSIONS_EVERY_S)
            if self.should_stop:
                return
            with suppress(KafkaUnavailable):  # the clients that need Kafka report it
                await require_access(self._arguments, self._needed)


async def _ask_brokers(arguments: Mapping[str, Any], topics: list[str]) -> dict[str, int]:
    """Returns the operations allowed on each topic, as bits, from the first broker that answers."""
    problems: list[KafkaUnavailable | SetupError] = []
    for host, port, _ in collect_hosts(arguments["bootstrap_servers"]):
        try:
            return await _ask_broker(host, port, arguments, topics)
        except (OSError, KafkaError, TimeoutError) as error:
            problems.append(explain_connection(f"Kafka at {host}:{port}", error))
    raise next((problem for problem in problems if isinstance(problem, SetupError)), problems[0])


async def _ask_broker(host: str, port: int, arguments: Mapping[str, Any], topics: list[str]) -> dict[str, int]:
    credentials = {name: value for name, value in arguments.items() if name != "bootstrap_servers"}
    connection = await create_conn(host, port, request_timeout_ms=TIMEOUT_S * 1000, **credentials)
    try:
        answer = await connection.send(MetadataRequest(topics))
    finally:
        await connection.close()
    if answer.cluster_id is None:  # aiokafka takes a refused token for an accepted one, and gets an empty answer
        raise SaslAuthenticationFailed("the access token was refused")
    return {topic: _read_operations(error, operations) for error, topic, _, _, operations in answer.topics}


def _read_operations(error: int, operations: int) -> int:
    """Returns the allowed operations as bits; all of them for a topic that does not exist."""
    if error == TopicAuthorizationFailedError.errno:
        return 0
    return -1 if error or operations == OPERATIONS_UNKNOWN else operations


class MetadataResponse(Response):  # type: ignore[misc]
    """Decodes version 8, the first with the allowed operations (KIP-430). aiokafka knows up to version 5."""

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
