"""What Kafka's errors mean to a running worker: wait, or stop with a line that says what to do."""

import re
import ssl
from collections.abc import Iterator

from aiokafka import TopicPartition, errors
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from worker.errors import KafkaUnavailable, ProgressError, SetupError
from worker.settings import Settings

# aiokafka's background tasks have ended after these: waiting does not bring them back.
ENDED = ("Unexpected error during coordination", "Unexpected error during data retrieval")


def explain_consumer_error(error: KafkaError | TimeoutError, settings: Settings) -> KafkaUnavailable | SetupError:
    """KafkaUnavailable where waiting helps, else SetupError."""
    what = explain(f"Kafka at {settings.kafka_bootstrap_servers} does not answer", error)
    if isinstance(what, SetupError) or isinstance(error, TimeoutError) or _passes(error):
        return what
    return SetupError(f"Kafka: {error!r}; {_what_to_do(error, settings)}")


def _passes(error: KafkaError) -> bool:
    """aiokafka wraps what a group's coordinator answered into a text, in which the error's class is named."""
    text = " ".join(map(str, error.args))
    named = [getattr(errors, name, None) for name in re.findall(r"\w+Error", text)]
    return error.retriable or (not text.startswith(ENDED) and any(getattr(e, "retriable", False) for e in named))


def _what_to_do(error: KafkaError, settings: Settings) -> str:
    if settings.group_instance_id and "UnknownError" in repr(error):  # as aiokafka calls code 82, FENCED_INSTANCE_ID
        return (
            f"does another worker run with PROGRESS_GROUP_INSTANCE_ID={settings.group_instance_id}? "
            "Give each an id of its own. Nothing is lost"
        )
    return "a restart goes on from what is stored; if it happens again, see the broker's log"


FORBIDDEN = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
UNKNOWN_TO_KAFKA = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)
# Of the record, not of the moment.
REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError)
HANGING_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


def explain(what: str, error: BaseException) -> KafkaUnavailable | SetupError:
    """What to raise for an error of a client: SetupError where Kafka refused us, for repeating that helps nobody.

    The text says what was refused, and never with which credentials.
    """
    for cause in _causes(error):
        if isinstance(cause, SetupError):
            return SetupError(f"{what}: {cause}")
        if isinstance(cause, FORBIDDEN):
            return SetupError(f"{what}: {explain_forbidden(_resource(cause))}")
        if isinstance(cause, REFUSED):
            refused = f"Kafka refuses a record for good ({type(cause).__name__})"
            return SetupError(f"{what}: {refused}: see max.message.bytes and message.timestamp.… of the topic")
        if isinstance(cause, UNKNOWN_TO_KAFKA):
            return SetupError(f"{what}: Kafka does not let us in ({_told(cause)}): see PROGRESS_KAFKA_SASL_…")
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, HANGING_UP):
            return SetupError(f"{what}: TLS fails ({tls_reason(cause)}): see PROGRESS_KAFKA_SSL_…")
    return KafkaUnavailable(f"{what}: {error if isinstance(error, ProgressError) else repr(error)}")


def explain_forbidden(what: str) -> str:
    return f"Kafka's ACLs do not allow these credentials {what}: kafka/acls.sh grants what each role needs"


def _resource(error: Exception) -> str:
    if isinstance(error, ClusterAuthorizationFailedError):
        return "Write on any topic"  # an idempotent producer must be allowed one
    kind = "Read on group" if isinstance(error, GroupAuthorizationFailedError) else "access to topic"
    return f"{kind} {_named(error.args[0]) if error.args else '?'}"


def _named(what: object) -> str:
    """aiokafka names a group or topic, several, or, where it asks for offsets, a partition."""
    if isinstance(what, TopicPartition):
        return str(what.topic)
    return ", ".join(sorted(map(str, what))) if isinstance(what, set | list) else str(what)


def _told(error: Exception) -> str:
    if isinstance(error, SaslAuthenticationFailed):
        return str(error.args[0])  # the broker's own words
    return f"{type(error).__name__}: not by this mechanism on this port"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def tls_reason(error: OSError) -> str:
    reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or error.strerror
    return str(reason or type(error).__name__)
