"""Translates an error of aiokafka: wait, or stop with a line that names the remedy.

Every module that catches an error of aiokafka uses this translation.
"""

import re
import ssl
from collections.abc import Iterator

from aiokafka import TopicPartition, errors
from aiokafka.errors import (
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RequestTimedOutError,
    SaslAuthenticationFailed,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownError,
    UnsupportedSaslMechanismError,
)

from worker.errors import KafkaUnavailable, ProgressError, SetupError
from worker.settings import Settings

FORBIDDEN = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
LOGIN_REFUSED = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
RECORD_REFUSED = (*TOO_LARGE, InvalidTimestampError)  # because of the record: repeating it does not help
# The peer closed the connection: over TLS, and before any answer.
TLS_CLOSED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
CLOSED = (KafkaConnectionError, ConnectionResetError)
# aiokafka's background tasks have ended after these: waiting does not bring them back.
ENDED = ("Unexpected error during coordination", "Unexpected error during data retrieval")


def explain(what: str, error: BaseException) -> KafkaUnavailable | SetupError:
    """Returns the error to raise for a client's: SetupError where Kafka refuses us, because repeating does not help.

    `what` names the step that failed. The text names the refused operation, and never a credential.
    """
    for cause in _walk_causes(error):
        if isinstance(cause, SetupError):
            return SetupError(f"{what}: {cause}")
        if isinstance(cause, FORBIDDEN):
            return SetupError(f"{what}: {explain_forbidden(_name_forbidden(cause))}")
        if isinstance(cause, RECORD_REFUSED):
            refused = f"Kafka permanently refuses a record ({type(cause).__name__})"
            return SetupError(f"{what}: {refused}: see max.message.bytes and message.timestamp.… of the topic")
        if isinstance(cause, LOGIN_REFUSED):
            return SetupError(f"{what}: Kafka refuses the login ({_explain_login(cause)}): see PROGRESS_KAFKA_SASL_…")
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, TLS_CLOSED):
            return SetupError(f"{what}: TLS fails ({explain_tls(cause)}): see PROGRESS_KAFKA_SSL_…")
    return KafkaUnavailable(f"{what}: {error if isinstance(error, ProgressError) else repr(error)}")


def explain_connection(where: str, error: Exception) -> KafkaUnavailable | SetupError:
    """Explains why the server at `where` does not answer. A closed connection may mean the wrong protocol."""
    problem = explain(where, error)
    if isinstance(problem, KafkaUnavailable) and isinstance(error, CLOSED):
        return KafkaUnavailable(f"{problem}: does PROGRESS_KAFKA_SECURITY_PROTOCOL fit this port?")
    return problem


def explain_consumer_error(error: KafkaError | TimeoutError, settings: Settings) -> KafkaUnavailable | SetupError:
    """Returns KafkaUnavailable where waiting helps, else SetupError."""
    problem = explain(f"Kafka at {settings.kafka_bootstrap_servers} does not answer", error)
    if isinstance(problem, SetupError) or isinstance(error, TimeoutError) or _is_temporary(error):
        return problem
    return SetupError(f"Kafka: {error!r}; {_advise(error, settings)}")


def explain_forbidden(what: str) -> str:
    """Says that Kafka's ACLs do not allow `what`, such as `Read on topic lesson-events`."""
    return f"Kafka's ACLs do not allow these credentials {what}: kafka/acls.sh grants what each role needs"


def explain_topic_creation(topic: str, code: int, reason: str) -> SetupError | None:
    """Explains a broker's answer to the creation of a topic. None: the topic is there."""
    if code in (0, TopicAlreadyExistsError.errno):
        return None
    if code == TopicAuthorizationFailedError.errno:
        return SetupError(explain_forbidden(f"to see or create topic {topic}"))
    return SetupError(f"topic {topic} cannot be created: {reason or errors.for_code(code).__name__}")


def explain_tls(error: OSError) -> str:
    """Returns OpenSSL's reason, without the number of a source line."""
    reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or error.strerror
    return str(reason or type(error).__name__)


def is_too_large(error: BaseException | None) -> bool:
    """Returns whether a record, or the batch around it, is larger than the topic takes."""
    return isinstance(error, TOO_LARGE)


def is_bad_timestamp(error: BaseException | None) -> bool:
    """Returns whether a topic does not take a record's timestamp: see message.timestamp.… of the topic."""
    return isinstance(error, InvalidTimestampError)


def is_unknown_answer(error: BaseException | None) -> bool:
    """Returns whether a broker answered with a code that aiokafka has no class for, such as 87, INVALID_RECORD."""
    return type(error) is UnknownError


def is_broker_answer(error: BaseException | None) -> bool:
    """Returns whether a broker answered with this error, so that the connection to it is good."""
    return isinstance(error, BrokerResponseError) and not isinstance(error, RequestTimedOutError)


def _is_temporary(error: KafkaError) -> bool:
    """Looks into the text too: aiokafka wraps a coordinator's answer into a text that names the error's class."""
    text = " ".join(map(str, error.args))
    named = [getattr(errors, name, None) for name in re.findall(r"\w+Error", text)]
    return error.retriable or (not text.startswith(ENDED) and any(getattr(e, "retriable", False) for e in named))


def _advise(error: KafkaError, settings: Settings) -> str:
    if settings.group_instance_id and "UnknownError" in repr(error):  # aiokafka's name for code 82, FENCED_INSTANCE_ID
        return (
            f"does another worker run with PROGRESS_GROUP_INSTANCE_ID={settings.group_instance_id}? "
            "Give each worker its own id. Nothing is lost"
        )
    return "restart the worker, it continues from the stored offsets; if it happens again, see the broker's log"


def _name_forbidden(error: Exception) -> str:
    if isinstance(error, ClusterAuthorizationFailedError):
        return "Write on any topic"  # an idempotent producer must be allowed one
    kind = "Read on group" if isinstance(error, GroupAuthorizationFailedError) else "access to topic"
    return f"{kind} {_join_names(error.args[0]) if error.args else '?'}"


def _join_names(named: object) -> str:
    """Joins the names in aiokafka's error: a group or topic, several, or a partition where it asks for offsets."""
    if isinstance(named, TopicPartition):
        return str(named.topic)
    return ", ".join(sorted(map(str, named))) if isinstance(named, set | list) else str(named)


def _explain_login(error: Exception) -> str:
    if isinstance(error, SaslAuthenticationFailed):
        return str(error.args[0])  # the broker's own text
    return f"{type(error).__name__}: the broker does not offer this mechanism on this port"


def _walk_causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()  # because an error may be its own cause
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
